//! An event: its type, its id and the envelope that a webhook receives as its body.
//!
//! The shapes of the four contract types are in `message`, `connection` and `failure`.

mod connection;
mod endpoint;
mod failure;
mod id;
mod kind;
mod message;

pub use connection::ConnectionStatus;
pub use endpoint::EndpointEvent;
pub use failure::ErrorOccurred;
pub use id::{EventId, EventIdentity};
pub use kind::{EventType, InvalidEventType};
pub use message::{Content, MessageReceived, MessageSent, Sender};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The body of a webhook and the payload in EVENTS: exactly these three fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope<D = serde_json::Value> {
    pub event: EventType,
    /// When the event was made, ISO 8601 UTC with milliseconds; the same at every delivery.
    pub timestamp: String,
    pub data: D,
}

impl<D> Envelope<D> {
    #[must_use]
    pub fn new(event: EventType, at: OffsetDateTime, data: D) -> Self {
        Self { event, timestamp: crate::clock::iso(at), data }
    }
}
