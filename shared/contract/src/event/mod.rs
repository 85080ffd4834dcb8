//! An event: its type, its id, and the envelope that a webhook receives as its body.
//!
//! [`table`] lists every event that Kurir publishes; each other module has the `data` of a few of them.
//! `known_addresses` and `message_context` hold the fields that many events share.

mod business_card;
mod call;
mod chat_change;
mod contact;
mod endpoint;
mod error_occurred;
mod event_type;
mod group;
mod history;
mod id;
mod job;
mod known_addresses;
mod message;
mod message_change;
mod message_content;
mod message_context;
#[cfg(feature = "schema")]
pub mod schema;
mod session_health;
mod session_passkey;
mod session_state;
pub mod table;

pub use business_card::{
    BusinessCard, CardButton, CardOrder, CardOrderItem, CardRow, CardSection, EventAnswer, FileKind, PaymentAction,
};
pub use call::CallEvent;
pub use chat_change::{ChatChange, ChatUpdated};
pub use contact::{ContactChange, ContactUpdated, IdentityChanged, PresenceState, PresenceUpdated};
pub use endpoint::EndpointEvent;
pub use error_occurred::ErrorOccurred;
pub use event_type::{EventType, InvalidEventType};
pub use group::{GroupChange, GroupParticipants, GroupUpdated, ParticipantAction};
pub use history::{HistorySync, PastMessage};
pub use id::{EventId, EventIdentity};
pub use job::{JobEvent, MessageQueued};
pub use known_addresses::{EventOrigin, KnownAddresses};
pub use message::{MediaDownloaded, MessageReceived, MessageSender, MessageSent};
pub use message_change::{
    AckStatus, MessageAck, MessageEdited, MessageReaction, MessageRevoked, MessageUndecryptable, PollVote,
    UndecryptableReason,
};
pub use message_content::{Caption, ContactCard, EventLocation, MessageContent, ReceivedFile};
pub use message_context::{
    AdReference, ForwardedChannel, LinkPreview, MediaInfo, Mention, MessageContext, MessageSourceContext,
    QuotedMessage, RelatedMessage, RelationKind,
};
pub use session_health::{NoticedBy, PhoneOffline, PhoneOnline, SessionSilent};
pub use session_passkey::SessionPasskey;
pub use session_state::{ConnectionStatus, SessionChanged, SessionEnded, SessionRestricted};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The body of a webhook and the payload of a message in EVENTS: exactly these three fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventEnvelope<D = serde_json::Value> {
    pub event: EventType,
    /// When the event was made: ISO 8601 in UTC with milliseconds, the same at every delivery.
    pub timestamp: String,
    pub data: D,
}

impl<D> EventEnvelope<D> {
    #[must_use]
    pub fn new(event: EventType, at: OffsetDateTime, data: D) -> Self {
        Self { event, timestamp: crate::clock::iso(at), data }
    }
}
