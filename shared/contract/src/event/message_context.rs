//! The fields beside a message's content: the message that it answers, mentions, forwarding, file properties.

use super::{KnownAddresses, MessageContent};
use crate::address::ChatJid;
use serde::Serialize;

/// Every event with `messageType` and `content` has these fields, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageContext {
    /// The message that this one answers; null if it answers none.
    pub reply: Option<QuotedMessage>,
    /// The canonical addresses of the people whom the message mentions, at most 1,024; `truncated` says if there are more.
    pub mentions: Vec<ChatJid>,
    /// The same people, this account included, with the words that stand for them in the text.
    pub mentioned: Vec<Mention>,
    /// Whether the message mentions everybody in the group.
    pub mentions_all: bool,
    /// The message to which this one belongs; null if it stands for itself. `reply` is what it answers.
    pub related: Option<RelatedMessage>,
    /// Where the message comes from.
    pub context: MessageSourceContext,
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
    /// The whole message as protobuf's JSON, without keys; only with `INCLUDE_RAW=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<serde_json::Value>,
}

/// A person, or a group, that a message mentions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mention {
    /// The words as they stand in the text, as `@6281230000001`; null if the text does not have them.
    pub token: Option<String>,
    #[serde(flatten)]
    pub person: KnownAddresses,
    /// Whether it is this account.
    pub is_me: bool,
    /// The name of a group that is mentioned; null for a person.
    pub name: Option<String>,
}

/// A message to which another one belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RelatedMessage {
    pub kind: RelationKind,
    pub message_id: String,
}

/// How a message belongs to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RelationKind {
    /// A picture or a video of the album that the other message announced.
    Album,
    /// The better upload of the picture or video in the other message.
    Hd,
    /// The moving part of the photo in the other message.
    Motion,
    /// A comment on the other message.
    Comment,
    /// A new form of the calendar event in the other message.
    EventEdit,
    /// An answer to the calendar event in the other message.
    Rsvp,
    /// Something about the status update in the other message.
    Status,
    /// Something about the poll in the other message: an option, a picture.
    Poll,
    /// Another relation, which this version does not know.
    Other,
}

/// Where a message comes from, besides its writer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageSourceContext {
    /// The advertisement through which the person came to this chat; null if there was none.
    pub ad: Option<AdReference>,
    /// The channel from which the message was forwarded; null if it was not, or not from a channel.
    pub channel: Option<ForwardedChannel>,
}

/// An advertisement. What WhatsApp does not say is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdReference {
    pub source_url: Option<String>,
    pub source_id: Option<String>,
    /// `ad` or `post`, in WhatsApp's words.
    pub source_type: Option<String>,
    /// Where it was shown, as `facebook` or `instagram`.
    pub source_app: Option<String>,
    pub title: Option<String>,
    pub body: Option<String>,
    /// `image` or `video`.
    pub media_type: Option<String>,
    pub media_url: Option<String>,
    pub thumbnail_url: Option<String>,
    /// The click's id, with which the conversion is reported.
    pub ctwa_clid: Option<String>,
    /// What the advertiser's own link carries.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The greeting that the advertisement showed.
    pub greeting: Option<String>,
    /// Where the person tapped, in WhatsApp's words, as `ctwa_ad`.
    pub entry_point: Option<String>,
    /// The app in which the person tapped.
    pub entry_point_app: Option<String>,
    /// The advertiser's name.
    pub advertiser: Option<String>,
}

/// The channel from which a message was forwarded. What WhatsApp does not say is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForwardedChannel {
    /// `…@newsletter`.
    pub jid: Option<String>,
    pub name: Option<String>,
    /// The number of the message in the channel.
    pub message_id: Option<i32>,
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
