//! What happens to a message: `message.ack`, `.reaction`, `.edited`, `.revoked`, `.undecryptable`, and `poll.vote`.
//!
//! In each of them `messageId` is the id of that message.

use super::{EventOrigin, KnownAddresses, MessageContent, MessageContext};
use serde::Serialize;

/// `data` of `message.ack`: a message of this account was received, read or played. It is published at most once: see the promises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageAck {
    pub message_id: String,
    pub status: AckStatus,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The author is the person who received, read or played it; for `server` this account.
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// Where a message of this account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AckStatus {
    /// WhatsApp has accepted it.
    Server,
    /// A device of the recipient has received it.
    Delivered,
    /// The recipient has read it.
    Read,
    /// The recipient has played it: a voice note or a video.
    Played,
}

impl AckStatus {
    /// The status as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
        }
    }
}

/// `data` of `message.reaction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageReaction {
    pub message_id: String,
    /// The emoji; empty if the reaction was removed.
    pub emoji: String,
    /// The id of the reaction itself.
    pub reaction_id: String,
    /// The writer of the message; null if it is unknown.
    pub message_author: Option<KnownAddresses>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `data` of `message.edited`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageEdited {
    pub message_id: String,
    /// The message's new content.
    #[serde(flatten)]
    pub content: MessageContent,
    /// The id of the edit itself.
    pub edit_id: String,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub context: MessageContext,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `data` of `message.revoked`: the message was deleted for everyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageRevoked {
    pub message_id: String,
    /// The id of the deletion itself.
    pub revoke_id: String,
    /// The writer of the message; null if it is unknown.
    pub message_author: Option<KnownAddresses>,
    /// Whether an administrator of the group deleted it, not the writer; null if the writer is unknown.
    pub by_admin: Option<bool>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `data` of `poll.vote`: the options that somebody chose; a later vote replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PollVote {
    /// The id of the poll.
    pub message_id: String,
    /// The poll's question; null if Kurir has not seen the poll.
    pub poll_name: Option<String>,
    /// The chosen options; empty if the vote was removed; null if Kurir cannot decrypt the vote, or if an option that was
    /// chosen is unknown.
    pub selected_options: Option<Vec<String>>,
    /// The id of the vote itself.
    pub vote_id: String,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `data` of `message.undecryptable`: a message arrived that this device cannot read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageUndecryptable {
    pub message_id: String,
    pub reason: UndecryptableReason,
    /// Whether it is a message that no app shows: a reaction, an edit, a vote, …
    pub hidden: bool,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum UndecryptableReason {
    /// Neither the writer nor this account's phone sent it again in time. It may still arrive as `message.received`.
    NotSentAgain,
    /// WhatsApp shows it only on the phone.
    ViewOnce,
    /// It is from a business whose messages are stored elsewhere.
    Hosted,
    /// It is from a bot.
    Bot,
    /// A reaction, a comment or an edit that is encrypted with the secret of another message, which was never seen here.
    SecretUnknown,
}
