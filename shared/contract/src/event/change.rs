//! What becomes of a message: `message.ack`, `.reaction`, `.edited`, `.revoked`, `.undecryptable`, and `poll.vote`.
//!
//! In all of them `messageId` is the message that it is about.

use super::{EventOrigin, KnownAddresses, MessageContent, MessageContext};
use serde::Serialize;

/// `data` of `message.ack`: how far a message of this account has come. At most once: see the promises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageAck {
    pub message_id: String,
    pub status: AckStatus,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The author is who received, read or played it; of `server` this account.
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AckStatus {
    /// WhatsApp has it.
    Server,
    /// A device of the recipient has it.
    Delivered,
    Read,
    /// A voice note or a video was played.
    Played,
}

impl AckStatus {
    /// As it is written in JSON.
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
    /// The emoji; empty if the reaction was taken back.
    pub emoji: String,
    /// The id of the reaction itself.
    pub reaction_id: String,
    /// Who wrote the message; null if that is not known.
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
    /// What it holds now.
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

/// `data` of `message.revoked`: deleted for everyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageRevoked {
    pub message_id: String,
    /// The id of the deletion itself.
    pub revoke_id: String,
    /// Who wrote the message; null if that is not known.
    pub message_author: Option<KnownAddresses>,
    /// An administrator of the group did it, not the writer.
    pub by_admin: bool,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `data` of `poll.vote`: what somebody chose last; a later vote of his replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PollVote {
    /// The poll.
    pub message_id: String,
    /// Its question; null if Kurir has not seen the poll.
    pub poll_name: Option<String>,
    /// The options chosen, none if the vote was taken back; null if Kurir has not seen the poll and cannot decrypt.
    pub selected_options: Option<Vec<String>>,
    /// The id of the vote itself.
    pub vote_id: String,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `data` of `message.undecryptable`: a message came and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageUndecryptable {
    pub message_id: String,
    pub reason: UndecryptableReason,
    /// It is not one that an app would show: a reaction, an edit, a vote, …
    pub hidden: bool,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum UndecryptableReason {
    /// Neither its writer nor the own phone sent it again in time. It may still come, as `message.received`.
    NotSentAgain,
    /// WhatsApp shows it on the phone only.
    ViewOnce,
    /// Of a business whose messages are kept elsewhere.
    Hosted,
    /// Of a bot.
    Bot,
    /// A reaction, a comment or an edit that is encrypted with the secret of another message, which was never seen here.
    SecretUnknown,
}
