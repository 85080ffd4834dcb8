//! The fields beside a message's content: the message that it answers, mentions, forwarding, file properties.

use super::MessageContent;
use crate::address::ChatJid;
use serde::Serialize;

/// Every event with `messageType` and `content` has these fields, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageContext {
    /// The message that this one answers; null if it answers none.
    pub reply: Option<QuotedMessage>,
    /// The canonical addresses of the people whom the message mentions.
    pub mentions: Vec<ChatJid>,
    pub forwarded: bool,
    /// How often it was forwarded before; 127 means many times.
    pub forwarding_score: u32,
    /// Whether the phone shows it only once.
    pub view_once: bool,
    /// The chat's messages disappear after this many seconds; null if they do not.
    pub expires_after: Option<u32>,
    /// The preview of a link in the text; null if there is none.
    pub link_preview: Option<LinkPreview>,
    /// The file's properties as the message states them; null if the message has no file.
    pub media: Option<MediaInfo>,
}

/// The message that another one answers, as its writer's app quoted it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuotedMessage {
    pub message_id: String,
    /// Its writer's canonical address; null if the app did not say.
    pub author: Option<ChatJid>,
    /// Its chat, if it is another chat, for example a status; else null.
    pub chat: Option<ChatJid>,
    /// Its content; null if the app did not say.
    pub quoted: Option<MessageContent>,
}

/// The preview of a link, as the writer's app made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkPreview {
    /// The link as it is written in the text.
    pub url: String,
    pub title: String,
    pub description: String,
}

/// The properties of a file, as the message states them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MediaInfo {
    /// Whether an audio was recorded as a voice note.
    pub voice_note: bool,
    /// Whether a video was recorded as a round one.
    pub round: bool,
    /// Whether a video plays as a GIF.
    pub gif: bool,
    /// Whether a sticker moves.
    pub animated: bool,
    /// The playing time; null if it is unknown.
    pub seconds: Option<u32>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// The file's size in bytes; null if it is unknown.
    pub bytes: Option<u64>,
    /// A document's caption; the contract's `content` has no field for it.
    pub caption: Option<String>,
}
