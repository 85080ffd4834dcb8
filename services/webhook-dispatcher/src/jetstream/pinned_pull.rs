//! The pull of a consumer that serves one client at a time. NATS pins whom it serves, and tells him by an id in every
//! message; all others wait. Whoever asks under another id is refused, and whoever does not ask for five seconds loses
//! his place.
//!
//! One inbox for each time that it is held: what was sent to an earlier one never arrives.

use crate::jetstream::ack_subject::AckSubject;
use anyhow::Context as _;
use async_nats::{Client, Message, StatusCode, Subscriber, jetstream::AckKind};
use futures::StreamExt as _;
use kurir_contract::{header, stream};
use std::time::Duration;
use tokio::time::Instant;

/// The one group of each such consumer.
pub const GROUP: &str = "chats";
/// A client that has not asked for so long is not there. A death costs the endpoint this pause.
pub const PRIORITY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long NATS keeps a request; well below the timeout, since only a new request counts.
const EXPIRES: Duration = Duration::from_secs(2);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Two heartbeats missed: what was asked for is lost.
const SILENCE: Duration = Duration::from_millis(2_500);
/// The place is kept by asking at least this often, if nothing is wanted too.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// Whoever has not heard of NATS for so long may have lost his place, and begins nothing.
const FRESH_FOR: Duration = Duration::from_secs(3);
/// Before the next request after one that was refused for some reason.
const PAUSE: Duration = Duration::from_millis(250);
/// How long NATS may take to end the requests.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

pub struct PinnedPull {
    client: Client,
    messages: Subscriber,
    inbox: String,
    consumer: String,
    /// Requests of an earlier generation are lost; what NATS still says about them counts no more.
    generation: u64,
    asked: usize,
    asked_at: Instant,
    heard: Instant,
    not_before: Instant,
    ended: bool,
}

/// What came.
pub enum Pulled {
    Message {
        message: Message,
        pin: String,
        /// Of the consumer, in a row without a gap.
        handout: u64,
    },
    /// One that nobody is pinned for: to be given back.
    Unpinned(Message),
    /// NATS said something that changes nothing.
    Word,
    /// The place is somebody else's.
    Refused,
    /// The client is at its end.
    Ended,
}

impl PinnedPull {
    pub async fn open(client: &Client, consumer: String) -> anyhow::Result<Self> {
        let (inbox, now) = (client.new_inbox(), Instant::now());
        let messages = client.subscribe(format!("{inbox}.*")).await.context("failed to subscribe to an inbox")?;
        let client = client.clone();
        Ok(Self {
            client,
            messages,
            inbox,
            consumer,
            generation: 0,
            asked: 0,
            asked_at: now,
            heard: now,
            not_before: now,
            ended: false,
        })
    }

    /// Nothing comes any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// NATS was heard of lately: the place can be ours.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.heard.elapsed() < FRESH_FOR
    }

    /// Asks for up to `room` messages if it is worth a request, or at least for the place. `pin`: none while the place is
    /// not ours.
    pub async fn ask(&mut self, room: usize, pin: Option<&str>) {
        let now = Instant::now();
        if self.asked > 0 && now.duration_since(self.heard.max(self.asked_at)) > SILENCE {
            self.lost();
        }
        if now < self.not_before {
            return;
        }
        let wanted = room.saturating_sub(self.asked);
        if wanted > 0 && (self.asked == 0 || wanted > room / 2) {
            self.asked += wanted;
            let limits = format!(r#""expires":{},"idle_heartbeat":{}"#, EXPIRES.as_nanos(), HEARTBEAT.as_nanos());
            self.request(wanted, &limits, &self.generation.to_string(), pin).await;
        } else if pin.is_some() && now.duration_since(self.asked_at) >= RENEW_EVERY {
            // No message is so small: it is refused for that, and the place is kept.
            self.request(1, r#""no_wait":true,"max_bytes":1"#, "renewal", pin).await;
        } else {
            return;
        }
        self.asked_at = now;
    }

    async fn request(&self, batch: usize, limits: &str, about: &str, pin: Option<&str>) {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", stream::EVENTS, self.consumer);
        let id = pin.map(|pin| format!(r#","id":"{pin}""#)).unwrap_or_default();
        let payload = format!(r#"{{"batch":{batch},{limits},"group":"{GROUP}"{id}}}"#);
        let reply = format!("{}.{about}", self.inbox);
        if let Err(error) = self.client.publish_with_reply(subject, reply, payload.into()).await {
            tracing::debug!("failed to ask for events: {error}");
        }
    }

    /// May be dropped at any await without losing anything.
    pub async fn next(&mut self) -> Pulled {
        let Some(message) = self.messages.next().await else {
            self.ended = true;
            return Pulled::Ended;
        };
        let about = message.subject.strip_prefix(&self.inbox).map(ToOwned::to_owned);
        match about {
            None => self.message(message),
            Some(about) => self.status(about.trim_start_matches('.'), &message),
        }
    }

    fn message(&mut self, message: Message) -> Pulled {
        self.heard = Instant::now();
        self.asked = self.asked.saturating_sub(1);
        let pin = message.headers.as_ref().and_then(|headers| headers.get(header::PIN_ID));
        let handed = message.reply.as_ref().and_then(|reply| AckSubject::read(reply));
        match (pin, handed) {
            (Some(pin), Some(handed)) => {
                let (pin, handout) = (pin.as_str().to_owned(), handed.handout);
                Pulled::Message { message, pin, handout }
            }
            // A consumer that pins nobody is one that is being changed.
            (_, Some(_)) => Pulled::Unpinned(message),
            (_, None) => Pulled::Word,
        }
    }

    pub async fn give_back(&self, message: Message) {
        if let Some(reply) = message.reply {
            // Refused only by a client that is at its end.
            let _ = self.client.publish(reply, AckKind::Nak(None).into()).await;
        }
    }

    /// Ends its requests. What NATS had sent before it knew still comes, then the end; the place is kept by asking.
    pub async fn stop(&mut self) {
        // Refused only by a client that is at its end.
        let _ = self.messages.drain().await;
        self.lost();
    }

    /// Ends its requests, and gives back what NATS had sent before it knew.
    pub async fn close(mut self) {
        self.stop().await;
        let drained = async {
            while let Some(message) = self.messages.next().await {
                if !message.subject.starts_with(&self.inbox) {
                    self.give_back(message).await;
                }
            }
        };
        // NATS is away then: its requests are gone with it.
        let _ = tokio::time::timeout(CLOSE_WITHIN, drained).await;
    }

    fn status(&mut self, about: &str, message: &Message) -> Pulled {
        const PIN_MISMATCH: u16 = 423;
        let is_renewal = about == "renewal";
        if !is_renewal && about.parse() != Ok(self.generation) {
            return Pulled::Word;
        }
        let pending = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
        let unserved = pending.and_then(|pending| pending.as_str().parse::<usize>().ok());
        let said = message.description.as_deref().unwrap_or_default();
        match message.status.map_or(0, |status| status.as_u16()) {
            PIN_MISMATCH => return Pulled::Refused,
            status if status == StatusCode::IDLE_HEARTBEAT.as_u16() => self.heard = Instant::now(),
            status if status == StatusCode::TIMEOUT.as_u16() && !is_renewal => {
                self.heard = Instant::now();
                self.asked = self.asked.saturating_sub(unserved.unwrap_or(self.asked));
            }
            404 | 408 if is_renewal => self.heard = Instant::now(),
            409 if is_renewal && said.contains("MaxBytes") => self.heard = Instant::now(),
            status => {
                tracing::debug!("NATS said {status} {said}");
                self.not_before = Instant::now() + PAUSE;
                self.lost();
            }
        }
        Pulled::Word
    }

    fn lost(&mut self) {
        self.generation += 1;
        self.asked = 0;
    }
}
