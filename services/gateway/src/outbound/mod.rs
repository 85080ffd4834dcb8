//! The path of one command to WhatsApp.
//!
//! `content` makes the message, a file for each kind. `send` is done when WhatsApp's server has acknowledged the message
//! (`acks`), to somebody who is on WhatsApp (`recipients`), and once for each key of a caller (`idempotency`). `own` tells
//! of it as of any message of the account. `naming` knows people by the names that WhatsApp has for them.

pub mod content;

pub mod acks;
mod idempotency;
pub mod naming;
mod own;
mod recipients;
pub mod send;

use crate::publish::{OutgoingEvent, Publisher};
use content::Outgoing;
use idempotency::Known;
use kurir_chassis::broker::Broker;
use kurir_contract::{
    command::{Refusal, RefusalCode},
    session::SessionId,
};
use send::{Done, Sender};
use std::time::Duration;
use tokio::{sync::Semaphore, time::Instant};

/// Sends for one session, whoever asks for it.
pub struct Outbound {
    pub sender: Sender,
    session: SessionId,
    broker: Broker,
    publisher: Publisher,
    permits: Semaphore,
}

/// Sends under way. WhatsApp is not written to faster by more.
const SENDS_AT_ONCE: usize = 32;
/// How long the event about a send is tried for, once its caller has his answer.
const EVENT_WITHIN: Duration = Duration::from_secs(600);

impl Outbound {
    #[must_use]
    pub fn new(session: SessionId, sender: Sender, broker: Broker, publisher: Publisher) -> Self {
        Self { sender, session, broker, publisher, permits: Semaphore::new(SENDS_AT_ONCE) }
    }

    /// Sends a message, once for its key; takes as long as all its tries.
    pub async fn send(&self, outgoing: Outgoing) -> Done {
        // Never closed.
        let _permit = self.permits.acquire().await;
        self.once(outgoing).await
    }

    /// What has a key goes out once: whoever asks again has the first answer. Two at the same moment are two turns of one
    /// chat, so the second one finds the answer of the first.
    async fn once(&self, outgoing: Outgoing) -> Done {
        let Some(key) = outgoing.key.clone() else { return self.sender.send(outgoing).await };
        let (session, request) = (&self.session, outgoing.fingerprint.clone());
        let answer = match idempotency::take(&self.broker, session, &key, &request).await {
            Ok(Known::Open) => {
                let done = self.sender.send(outgoing).await;
                if let Ok(sent) = &done.answer {
                    idempotency::remember(&self.broker, session, &key, request, sent).await;
                }
                return done;
            }
            Ok(Known::Sent(sent)) => Ok(sent),
            Ok(Known::OfAnother) => {
                Err(refusal(RefusalCode::Conflict, "This Idempotency-Key was used for another message"))
            }
            Err(error) => {
                tracing::warn!("failed to look up an idempotency key: {error:#}");
                Err(refusal(RefusalCode::Internal, "NATS could not look up the Idempotency-Key; nothing was sent"))
            }
        };
        Done { answer, event: None }
    }

    /// Stores the event that tells of a send.
    pub async fn tell(&self, event: &OutgoingEvent) {
        if let Err(error) = self.publisher.store(event, Instant::now() + EVENT_WITHIN).await {
            tracing::error!(event.id = %event.id, "the event about a send was lost: {error}");
        }
    }
}

fn refusal(code: RefusalCode, message: &str) -> Refusal {
    Refusal { code, message: message.to_owned(), whatsapp_code: None }
}
