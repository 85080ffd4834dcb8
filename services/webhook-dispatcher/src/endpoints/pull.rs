//! Messages of one consumer, asked for by hand: never more than can be delivered at once.
//!
//! A message that lies in a client's buffer is nobody else's until `ack_wait` has passed, and costs its receiver a
//! second delivery if its turn comes later than that. So there is no buffer. What was asked for and never came (the
//! connection broke, the consumer was deleted, NATS forgot) shows itself as `Trouble`, and then the pull begins anew.

use anyhow::Context as _;
use async_nats::{
    Client, Message, StatusCode, Subscriber,
    jetstream::consumer::{
        Consumer,
        pull::{BatchConfig, Config},
    },
};
use futures::StreamExt as _;
use std::{sync::atomic::Ordering, time::Duration};
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// How long NATS keeps a request that it has no message for; then it is made again.
const EXPIRES: Duration = Duration::from_secs(30);
/// NATS says at this pace that a waiting request is not forgotten.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Two heartbeats missed and some patience: the request is lost.
const SILENCE: Duration = Duration::from_secs(11);
/// How soon a connection that was made anew is noticed: its requests are lost.
const TICK: Duration = Duration::from_millis(250);
/// A further request is made when at least half of the slots wait for it: with quarters, NATS takes a tenth more CPU
/// time for each event.
const CHUNKS: usize = 2;

pub struct Pull {
    client: Client,
    consumer: Consumer<Config>,
    inbox: String,
    messages: Subscriber,
    slots: usize,
    /// Requests of an earlier generation are lost; what NATS still says about them counts no more.
    generation: u64,
    /// Messages that were asked for and have not come.
    asked: usize,
    heard: Instant,
    connects: u64,
    tick: Interval,
}

/// What came.
pub enum Pulled {
    Message(Message),
    /// A request ended without all of its messages: [`Pull::ask`] again.
    Expired,
    /// The requests are lost: make sure that the consumer is there, then [`Pull::begin_anew`].
    Trouble(String),
}

impl Pull {
    pub async fn open(client: &Client, consumer: Consumer<Config>, slots: usize) -> anyhow::Result<Self> {
        let inbox = client.new_inbox();
        let messages = client.subscribe(format!("{inbox}.*")).await.context("failed to subscribe to an inbox")?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            connects: connects(client),
            client: client.clone(),
            consumer,
            inbox,
            messages,
            slots,
            generation: 0,
            asked: 0,
            heard: Instant::now(),
            tick,
        })
    }

    /// After trouble, with the consumer as it was found or made.
    pub fn begin_anew(&mut self, consumer: Consumer<Config>) {
        self.consumer = consumer;
        self.connects = connects(&self.client);
        self.generation += 1;
        self.asked = 0;
        self.heard = Instant::now();
    }

    /// Asks for as many messages as have a free slot and were not asked for. Not for each slot at once: a request for
    /// several costs NATS as much as one for one.
    pub async fn ask(&mut self, free: usize) {
        let wanted = free.saturating_sub(self.asked);
        if wanted == 0 || (self.asked > 0 && wanted < self.slots.div_ceil(CHUNKS)) {
            return;
        }
        let batch =
            BatchConfig { batch: wanted, expires: Some(EXPIRES), idle_heartbeat: HEARTBEAT, ..BatchConfig::default() };
        let reply = format!("{}.{}", self.inbox, self.generation);
        if self.asked == 0 {
            // Nothing was to be heard while nothing was asked for.
            self.heard = Instant::now();
        }
        // A request that cannot be sent is one that is lost: the silence will tell.
        if let Err(error) = self.consumer.request_batch(batch, reply.into()).await {
            tracing::debug!("failed to ask for events: {error}");
        }
        self.asked += wanted;
    }

    /// May be dropped at any await without losing anything.
    pub async fn next(&mut self) -> Pulled {
        loop {
            tokio::select! {
                biased;
                message = self.messages.next() => match message {
                    None => return Pulled::Trouble("the subscription ended".to_owned()),
                    Some(message) if message.subject.starts_with(&self.inbox) => {
                        if let Some(pulled) = self.status(&message) {
                            return pulled;
                        }
                    }
                    Some(message) => {
                        self.asked = self.asked.saturating_sub(1);
                        self.heard = Instant::now();
                        return Pulled::Message(message);
                    }
                },
                _ = self.tick.tick() => {
                    if connects(&self.client) != self.connects {
                        return Pulled::Trouble("the connection to NATS was made anew".to_owned());
                    }
                    if self.asked > 0 && self.heard.elapsed() > SILENCE {
                        return Pulled::Trouble(format!("NATS was silent for {} s", SILENCE.as_secs()));
                    }
                }
            }
        }
    }

    /// Ends the requests, and gives what NATS had sent before it knew.
    pub async fn close(mut self, within: Duration) -> Vec<Message> {
        let mut rest = Vec::new();
        if self.messages.drain().await.is_err() {
            return rest;
        }
        let drained = async {
            while let Some(message) = self.messages.next().await {
                if !message.subject.starts_with(&self.inbox) {
                    rest.push(message);
                }
            }
        };
        // NATS is away then: its requests are gone with it.
        let _ = tokio::time::timeout(within, drained).await;
        rest
    }

    /// What NATS says about a request, if something follows from it.
    fn status(&mut self, message: &Message) -> Option<Pulled> {
        if message.subject.rsplit_once('.').and_then(|(_, last)| last.parse().ok()) != Some(self.generation) {
            return None;
        }
        self.heard = Instant::now();
        let status = message.status?;
        if status == StatusCode::IDLE_HEARTBEAT {
            return None;
        }
        // A request that ended says how many of its messages will not come. Without that word nothing is sure.
        let unserved = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get("Nats-Pending-Messages"))
            .and_then(|pending| pending.as_str().parse::<usize>().ok());
        match unserved {
            Some(unserved) if status == StatusCode::TIMEOUT => {
                self.asked = self.asked.saturating_sub(unserved);
                Some(Pulled::Expired)
            }
            _ => {
                let what = message.description.as_deref().unwrap_or_default();
                Some(Pulled::Trouble(format!("NATS said {status} {what}")))
            }
        }
    }
}

fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}
