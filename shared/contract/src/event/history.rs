//! `history.sync`: earlier messages that the phone sends after a pairing, if the settings ask for them.

use super::{EventId, KnownAddresses, MessageContent, MessageContext};
use crate::{address::ChatJid, session::SessionId};
use serde::Serialize;

/// `data` of `history.sync`: some messages of one chat, the newest first, as the phone sends them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HistorySync {
    pub chat: KnownAddresses,
    /// The chat's name; null if the phone has none.
    pub name: Option<String>,
    pub messages: Vec<PastMessage>,
    /// The phone's progress in per cent; null if the phone does not say.
    pub progress: Option<u32>,
    pub session: SessionId,
    pub event_id: EventId,
    /// The fields that lost something because the event was too large for NATS, as `messages.content.text`; absent if it is
    /// whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<String>,
    /// How many bytes the event had before it was made smaller for NATS; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_bytes: Option<u64>,
}

/// An earlier message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PastMessage {
    pub message_id: String,
    /// When it was sent, milliseconds since 1970; null if the phone does not say.
    pub timestamp: Option<i64>,
    #[serde(flatten)]
    pub content: MessageContent,
    pub from_me: bool,
    /// The writer in a group; null elsewhere.
    pub participant: Option<ChatJid>,
    /// The name that the writer chose; null if it is unknown.
    pub push_name: Option<String>,
    #[serde(flatten)]
    pub context: MessageContext,
}
