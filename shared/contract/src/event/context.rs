//! What comes with a message's content: what it answers, whom it names, how it may be seen.

use super::MessageContent;
use crate::address::ChatJid;
use serde::Serialize;

/// Beside `messageType` and `content` in every event that has these.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageContext {
    /// The message that this one answers; null if none.
    pub reply: Option<QuotedMessage>,
    /// Who is mentioned, canonical.
    pub mentions: Vec<ChatJid>,
    pub forwarded: bool,
    /// How often it was forwarded before, as far as WhatsApp counts; 127 is "many times".
    pub forwarding_score: u32,
    /// The phone shows it once.
    pub view_once: bool,
    /// The chat's messages disappear after this many seconds; null if they do not.
    pub expires_after: Option<u32>,
    /// What a text with a link shows of the page; null if nothing.
    pub link_preview: Option<LinkPreview>,
    /// What is known of a file before it is fetched; null if the message has none.
    pub media: Option<MediaInfo>,
}

/// The message that another one answers, as its writer's app quoted it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuotedMessage {
    pub message_id: String,
    /// Who wrote it, canonical; null if the app did not say.
    pub author: Option<ChatJid>,
    /// The chat that it was in, if that is another one, for example a status; else null.
    pub chat: Option<ChatJid>,
    /// What it held; null if the app did not say.
    pub quoted: Option<MessageContent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkPreview {
    /// The link as it stands in the text.
    pub url: String,
    pub title: String,
    pub description: String,
}

/// What a message says of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MediaInfo {
    /// An audio that was recorded as a voice note.
    pub voice_note: bool,
    /// A video that was recorded as a round one.
    pub round: bool,
    /// A video that plays as a GIF.
    pub gif: bool,
    /// A sticker that moves.
    pub animated: bool,
    /// How long it plays; null if unknown.
    pub seconds: Option<u32>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// The file's size in bytes; null if unknown.
    pub bytes: Option<u64>,
    /// A document's caption, which the contract's `content` has no place for.
    pub caption: Option<String>,
}
