//! An event: its type, its id and the envelope that a webhook receives as its body.
//!
//! The contract's four types are in `message`, `connection` and `failure`; `change` tells what becomes of a message,
//! `notice` what happens beside messages, `job` of sends that wait, `history` of the past, `passkey` of a pairing. `party` and `context` are what they share.

mod change;
mod connection;
mod content;
mod context;
mod endpoint;
mod failure;
mod health;
mod history;
mod id;
mod job;
mod kind;
mod message;
mod notice;
mod party;
mod passkey;
#[cfg(feature = "schema")]
pub mod schema;

pub use change::{
    AckStatus, MessageAck, MessageEdited, MessageReaction, MessageRevoked, MessageUndecryptable, PollVote,
    UndecryptableReason,
};
pub use connection::{ConnectionStatus, SessionEnded, SessionRestricted};
pub use content::{ContactCard, EventLocation, MessageContent, ReceivedFile};
pub use context::{LinkPreview, MediaInfo, MessageContext, QuotedMessage};
pub use endpoint::EndpointEvent;
pub use failure::ErrorOccurred;
pub use health::{NoticedBy, PhoneOffline, PhoneOnline, SessionSilent};
pub use history::{HistorySync, PastMessage};
pub use id::{EventId, EventIdentity};
pub use job::{JobEvent, MessageQueued};
pub use kind::{EventType, InvalidEventType};
pub use message::{MediaDownloaded, MessageReceived, MessageSender, MessageSent};
pub use notice::{
    CallEvent, ContactChange, ContactUpdated, GroupChange, GroupParticipants, GroupUpdated, IdentityChanged,
    ParticipantAction, PresenceState, PresenceUpdated,
};
pub use party::{EventOrigin, KnownAddresses};
pub use passkey::SessionPasskey;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The body of a webhook and the payload in EVENTS: exactly these three fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventEnvelope<D = serde_json::Value> {
    pub event: EventType,
    /// When the event was made, ISO 8601 UTC with milliseconds; the same at every delivery.
    pub timestamp: String,
    pub data: D,
}

impl<D> EventEnvelope<D> {
    #[must_use]
    pub fn new(event: EventType, at: OffsetDateTime, data: D) -> Self {
        Self { event, timestamp: crate::clock::iso(at), data }
    }
}
