//! `message.received` and `message.sent`: the contract's fields, and beside them what Kurir adds; and
//! `media.downloaded`, which tells that the file of one of them came later.

use super::{EventOrigin, MessageContent, MessageContext};
use crate::address::ChatJid;
use serde::Serialize;

/// `data` of `message.received`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageReceived {
    pub message_id: String,
    /// The chat, canonical: by number where the number is known.
    pub from: ChatJid,
    /// When it was sent, milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub content: MessageContent,
    pub sender: MessageSender,
    #[serde(flatten)]
    pub context: MessageContext,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// The chat and the name its writer gave himself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageSender {
    /// The chat's JID, in groups too: `participant` says who wrote.
    pub jid: ChatJid,
    /// `"Unknown"` if the message carried none.
    pub push_name: String,
}

/// `data` of `message.sent`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageSent {
    pub message_id: String,
    pub to: ChatJid,
    #[serde(flatten)]
    pub content: MessageContent,
    /// When WhatsApp took it, ISO 8601.
    pub timestamp: String,
    /// False if it was sent through Kurir; true if from the phone or another device of the account. (Kurir's own.)
    pub from_device: bool,
    #[serde(flatten)]
    pub context: MessageContext,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `data` of `media.downloaded`: the file of a message that was told of with `mediaDownloaded: false` is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MediaDownloaded {
    pub message_id: String,
    /// As the message's own event told it, now with the file.
    #[serde(flatten)]
    pub content: MessageContent,
    /// When the message was sent, milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}
