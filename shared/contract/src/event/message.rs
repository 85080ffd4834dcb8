//! `message.received` and `message.sent`: the contract's fields, and beside them what Kurir adds.

use crate::address::ChatJid;
use serde::Serialize;

/// `data` of `message.received`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageReceived {
    pub message_id: String,
    /// The chat, canonical: by number where the number is known.
    pub from: ChatJid,
    /// When it was sent, milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub content: Content,
    pub sender: Sender,
    /// Who wrote it; null outside groups. (Kurir's own.)
    pub participant: Option<ChatJid>,
    /// The session that received it. (Kurir's own.)
    pub session: crate::session::SessionId,
    /// The event's id, also in the header `webhook-id`. (Kurir's own.)
    pub event_id: super::EventId,
}

/// The chat and the name its writer gave himself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// The chat's JID, in groups too: `participant` says who wrote.
    pub jid: ChatJid,
    /// `"Unknown"` if the message carried none.
    pub push_name: String,
}

/// `data` of `message.sent`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageSent {
    pub message_id: String,
    pub to: ChatJid,
    #[serde(flatten)]
    pub content: Content,
    /// When WhatsApp took it, ISO 8601.
    pub timestamp: String,
    pub session: crate::session::SessionId,
    pub event_id: super::EventId,
}

/// `messageType` and the `content` that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "messageType", content = "content", rename_all = "snake_case")]
pub enum Content {
    Text {
        text: String,
    },
    Image {
        caption: String,
        mimetype: String,
    },
    Video {
        caption: String,
        mimetype: String,
    },
    Audio {
        mimetype: String,
    },
    #[serde(rename_all = "camelCase")]
    Document {
        file_name: String,
        mimetype: String,
    },
    Sticker {
        mimetype: String,
    },
    #[serde(rename_all = "camelCase")]
    Contact {
        display_name: String,
        vcard: String,
    },
    Location {
        latitude: f64,
        longitude: f64,
        name: String,
        address: String,
    },
    GroupInvite {
        raw: serde_json::Value,
    },
    /// What has no mapping keeps the raw message: it is never an error, which would bring it back for ever.
    Unknown {
        raw: serde_json::Value,
    },
}
