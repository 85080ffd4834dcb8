//! Commands to a gateway: a NATS request on [`subject::command`](crate::subject::command), answered once with a
//! [`CommandReply`]. A caller that wants to hear it is told in between that its send is under way.

mod answer;
mod base64_bytes;
mod call;
mod chat;
mod content;
mod forward;
pub mod group;
pub(crate) mod idempotency;
mod link_preview;
mod media;
mod passkey;
pub mod people;
mod quote;
mod session;
mod table;
mod transfer;

use std::time::Duration;

/// How often a gateway tells a caller that a send is under way ([`PROGRESS`](crate::header::PROGRESS)).
pub const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// A gateway that has said nothing for so long is gone, or never got the send.
pub const SILENT_AFTER: Duration = Duration::from_secs(15);

pub use answer::{CommandError, CommandErrorCode, CommandReply, QueuedSend, WaitReason};
pub use base64_bytes::Base64Bytes;
pub use call::{CallRejected, RejectCall};
pub use chat::{
    MarkRead, OwnPresence, SendEdit, SendPoll, SendReaction, SendRevoke, SetPresence, ShowTyping, SubscribePresence,
    TypingState,
};
pub use content::{SendContact, SendLocation};
pub use forward::{ForwardedContent, ForwardedFile, ForwardedMedia, SendForward};
pub use idempotency::{IDEMPOTENCY_BUCKET, IDEMPOTENCY_LASTS, IdempotencyKey, InvalidIdempotencyKey};
pub use link_preview::PagePreview;
pub use media::{FilePreview, FileToSend, MediaKind, SendMedia};
pub use passkey::{AnswerPasskey, PasskeyProgress};
pub use people::{CheckNumber, NumberChecked};
pub use quote::Quote;
pub use session::{ActiveRestriction, LoggedOut, PairingCode, PairingCodeRequest, SessionInfo};
pub use transfer::{AdoptKeys, ExportKeys, ExportReply, KeySource, KeysAdopted};

pub use table::{
    AnswerCommand, Command, CommandKind, CommandSpec, EncodedReply, UnknownCommand, answer_command, build_send, spec,
};

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

/// The body of a request or an answer without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyBody {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendText {
    pub to: ChatJid,
    /// Trimmed, 1 to 4096 characters.
    pub text: String,
    /// The id of the message to which this one replies.
    #[serde(default)]
    pub quoted: Option<String>,
    /// The author of that message, in a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted_participant: Option<ChatJid>,
    /// What is known of that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// The mentioned people. The text names each of them as `@` and their digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<ChatJid>,
    /// Whether everybody in the group is mentioned; only in a group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mention_all: bool,
    /// The preview of a link in the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_preview: Option<Box<PagePreview>>,
    /// A send with the same key is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

impl SendText {
    /// A text without a reply, mentions or a key.
    #[must_use]
    pub fn new(to: ChatJid, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            to,
            text,
            quoted: None,
            quoted_participant: None,
            quote: None,
            mentions: Vec::new(),
            mention_all: false,
            link_preview: None,
            idempotency_key: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentMessage {
    pub message_id: String,
    /// The canonical address of the recipient.
    pub to: ChatJid,
    /// The number of the try that WhatsApp accepted, from 1.
    pub attempt: u32,
}
