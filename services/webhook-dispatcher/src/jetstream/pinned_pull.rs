//! The pull of a consumer that serves one client at a time. NATS pins the client that it serves and gives it an id in
//! every message; all others wait. NATS refuses a request with another id. A client that makes no request for five
//! seconds loses its pin.
//!
//! Each hold has an inbox of its own, so that messages for an earlier hold never arrive.

use crate::jetstream::ack_subject::AckSubject;
use anyhow::Context as _;
use async_nats::{Client, Message, StatusCode, Subscriber, jetstream::AckKind};
use futures::StreamExt as _;
use kurir_contract::{header, stream};
use std::time::Duration;
use tokio::time::Instant;

/// The one priority group of each such consumer.
pub const GROUP: &str = "chats";
/// NATS unpins a client that has made no request for this long. A dispatcher's death costs the endpoint this pause.
pub const PRIORITY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long NATS keeps a request. It is well below the timeout, since only a new request renews the pin.
const EXPIRES: Duration = Duration::from_secs(2);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// After two missed heartbeats the requests count as lost.
const SILENCE_LIMIT: Duration = Duration::from_millis(2_500);
/// A request is made at least this often, to keep the pin.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// A client that has not heard from NATS for this long may have lost its pin, and starts nothing.
const FRESH_FOR: Duration = Duration::from_secs(3);
/// The consumer of a client that has not heard from NATS for this long, although it is connected, has vanished.
const GONE_AFTER: Duration = Duration::from_secs(8);
/// Wait after a refused request.
const REFUSAL_PAUSE: Duration = Duration::from_millis(250);
/// How long NATS may take to end the requests.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub struct PinnedPull {
    client: Client,
    messages: Subscriber,
    inbox: String,
    consumer: String,
    /// Requests of an earlier generation are lost. What NATS still says about them is ignored.
    generation: u64,
    requested: usize,
    requested_at: Instant,
    last_heard: Instant,
    not_before: Instant,
    ended: bool,
}

/// What came from NATS.
pub enum Pulled {
    Message {
        message: Message,
        pin: String,
        /// The position among the consumer's messages. Consecutive messages have consecutive numbers.
        consumer_sequence: u64,
    },
    /// A message without a pin, which must be given back.
    Unpinned(Message),
    /// A status that changes nothing.
    Status,
    /// Another client is pinned.
    Refused,
    /// The client has ended.
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
            requested: 0,
            requested_at: now,
            last_heard: now,
            not_before: now,
            ended: false,
        })
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether NATS was heard from lately, so that the pin can be ours.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.last_heard.elapsed() < FRESH_FOR
    }

    /// Whether NATS has said nothing for so long that the consumer cannot exist any more.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.last_heard.elapsed() > GONE_AFTER
    }

    /// Requests up to `room` messages if that is worth a request; otherwise renews the pin when it is time. `pin`: none
    /// while we are not pinned.
    pub async fn request_or_renew(&mut self, room: usize, pin: Option<&str>) {
        let now = Instant::now();
        if self.requested > 0 && now.duration_since(self.last_heard.max(self.requested_at)) > SILENCE_LIMIT {
            self.drop_requests();
        }
        if now < self.not_before {
            return;
        }
        let wanted = room.saturating_sub(self.requested);
        if wanted > 0 && (self.requested == 0 || wanted > room / 2) {
            self.requested += wanted;
            let limits = format!(r#""expires":{},"idle_heartbeat":{}"#, EXPIRES.as_nanos(), HEARTBEAT.as_nanos());
            self.send_request(wanted, &limits, &self.generation.to_string(), pin).await;
        } else if pin.is_some() && now.duration_since(self.requested_at) >= RENEW_INTERVAL {
            // No message is this small: NATS refuses the request for that, and renews the pin.
            self.send_request(1, r#""no_wait":true,"max_bytes":1"#, "renewal", pin).await;
        } else {
            return;
        }
        self.requested_at = now;
    }

    async fn send_request(&self, batch: usize, limits: &str, about: &str, pin: Option<&str>) {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", stream::EVENTS, self.consumer);
        let id = pin.map(|pin| format!(r#","id":"{pin}""#)).unwrap_or_default();
        let payload = format!(r#"{{"batch":{batch},{limits},"group":"{GROUP}"{id}}}"#);
        let reply = format!("{}.{about}", self.inbox);
        if let Err(error) = self.client.publish_with_reply(subject, reply, payload.into()).await {
            tracing::debug!("failed to request events: {error}");
        }
    }

    /// Cancel safe: a dropped future loses no message.
    pub async fn next(&mut self) -> Pulled {
        let Some(message) = self.messages.next().await else {
            self.ended = true;
            return Pulled::Ended;
        };
        let about = message.subject.strip_prefix(&self.inbox).map(ToOwned::to_owned);
        match about {
            None => self.read_message(message),
            Some(about) => self.read_status(about.trim_start_matches('.'), &message),
        }
    }

    fn read_message(&mut self, message: Message) -> Pulled {
        self.last_heard = Instant::now();
        self.requested = self.requested.saturating_sub(1);
        let pin = message.headers.as_ref().and_then(|headers| headers.get(header::PIN_ID));
        let subject = message.reply.as_ref().and_then(|reply| AckSubject::parse(reply));
        match (pin, subject) {
            (Some(pin), Some(subject)) => {
                let (pin, consumer_sequence) = (pin.as_str().to_owned(), subject.consumer_sequence);
                Pulled::Message { message, pin, consumer_sequence }
            }
            // A consumer that pins no client is being changed.
            (_, Some(_)) => Pulled::Unpinned(message),
            (_, None) => Pulled::Status,
        }
    }

    pub async fn give_back(&self, message: Message) {
        if let Some(reply) = message.reply {
            // Only a client that has ended refuses this.
            let _ = self.client.publish(reply, AckKind::Nak(None).into()).await;
        }
    }

    /// Ends the requests. What NATS had already sent still comes, then the end. Renewals keep the pin.
    pub async fn stop(&mut self) {
        // Only a client that has ended refuses this.
        let _ = self.messages.drain().await;
        self.drop_requests();
    }

    /// Ends the requests, and gives back what NATS had already sent.
    pub async fn close(mut self) {
        self.stop().await;
        let drained = async {
            while let Some(message) = self.messages.next().await {
                if !message.subject.starts_with(&self.inbox) {
                    self.give_back(message).await;
                }
            }
        };
        // After a timeout NATS is away, and the requests are gone with the connection.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, drained).await;
    }

    fn read_status(&mut self, about: &str, message: &Message) -> Pulled {
        const PIN_MISMATCH: u16 = 423;
        let is_renewal = about == "renewal";
        if !is_renewal && about.parse() != Ok(self.generation) {
            return Pulled::Status;
        }
        let pending = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
        let unserved = pending.and_then(|pending| pending.as_str().parse::<usize>().ok());
        let description = message.description.as_deref().unwrap_or_default();
        match message.status.map_or(0, |status| status.as_u16()) {
            PIN_MISMATCH => return Pulled::Refused,
            status if status == StatusCode::IDLE_HEARTBEAT.as_u16() => self.last_heard = Instant::now(),
            status if status == StatusCode::TIMEOUT.as_u16() && !is_renewal => {
                self.last_heard = Instant::now();
                self.requested = self.requested.saturating_sub(unserved.unwrap_or(self.requested));
            }
            404 | 408 if is_renewal => self.last_heard = Instant::now(),
            409 if is_renewal && description.contains("MaxBytes") => self.last_heard = Instant::now(),
            status => {
                tracing::debug!("NATS said {status} {description}");
                self.not_before = Instant::now() + REFUSAL_PAUSE;
                self.drop_requests();
            }
        }
        Pulled::Status
    }

    fn drop_requests(&mut self) {
        self.generation += 1;
        self.requested = 0;
    }
}
