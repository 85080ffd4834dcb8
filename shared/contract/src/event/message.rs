//! `message.received`, `message.sent` and `media.downloaded`.
//!
//! The first two have the contract's fields and those that Kurir adds. The last one follows a message whose file could
//! not be downloaded at first.

use super::{EventOrigin, MessageContent, MessageContext};
use crate::address::ChatJid;
use serde::Serialize;

/// `data` of `message.received`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageReceived {
    pub message_id: String,
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

/// The chat, and the name that the writer chose.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageSender {
    /// The chat's JID, in a group too: `participant` is the writer.
    pub jid: ChatJid,
    /// `"Unknown"` if the message has none.
    pub push_name: String,
    /// The name that WhatsApp verified; absent if the writer is no business.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_name: Option<String>,
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
    /// When WhatsApp accepted it, ISO 8601.
    pub timestamp: String,
    /// Whether the phone or another device of the account sent it, instead of Kurir.
    pub from_device: bool,
    #[serde(flatten)]
    pub context: MessageContext,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `data` of `media.downloaded`: the file of a message that was published with `mediaDownloaded: false`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MediaDownloaded {
    pub message_id: String,
    /// The message's content, now with the file.
    #[serde(flatten)]
    pub content: MessageContent,
    /// When the message was sent, milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}
