//! What the control API is told that a contact writes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::response::{ApiError, ApiResult};
use crate::{
    media_store::ReuploadAnswer,
    people::{AddressingMode, ReceivedMessage},
    phone_number::PhoneNumber,
    sent_log::SentPlaintext,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMessage {
    #[serde(rename = "type", default)]
    pub kind: MessageKind,
    pub text: Option<String>,
    /// The id of a message that this one answers.
    pub quoted: Option<String>,
    pub quoted_author: Option<PhoneNumber>,
    pub quoted_text: Option<String>,
    pub mentions: Option<Vec<PhoneNumber>>,
    pub forwarded: Option<bool>,
    pub view_once: Option<bool>,
    /// Seconds after which it disappears.
    pub expires_after: Option<u32>,
    pub mimetype: Option<String>,
    pub caption: Option<String>,
    pub base64: Option<String>,
    /// A file of so many bytes, made here: the byte at `n` is `n % 251`.
    pub size: Option<usize>,
    /// What is wrong with the file.
    pub fault: Option<FileFault>,
    /// How fast the file comes.
    pub bytes_per_second: Option<u64>,
    /// The URL that the media server redirects requests for the file to.
    pub redirect_to: Option<String>,
    /// What the phone answers when it is asked for the file once more.
    pub reupload: Option<ReuploadAnswer>,
    pub file_name: Option<String>,
    /// A voice note.
    pub ptt: Option<bool>,
    /// A video in a circle.
    pub round: Option<bool>,
    pub seconds: Option<u32>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub name: Option<String>,
    pub address: Option<String>,
    pub display_name: Option<String>,
    pub vcard: Option<String>,
    /// An edit in the form of newer apps.
    pub encrypted: Option<bool>,
    pub contacts: Option<Vec<VcardEntry>>,
    /// Of a poll, or those that a vote chooses.
    pub options: Option<Vec<String>>,
    /// How many options of a poll one may choose.
    pub selectable: Option<u32>,
    /// The id of the message reacted to, edited, deleted or voted on; of a reply the row or the button.
    pub target: Option<String>,
    /// Who wrote it, if not who is assumed.
    pub target_author: Option<PhoneNumber>,

    pub to: Option<PhoneNumber>,
    /// To everybody, as a status update.
    pub status: Option<bool>,
    pub group: Option<String>,
    /// Out to the account through the contact's broadcast list with this id.
    pub broadcast: Option<String>,
    /// Only the phone may show it; the companions get this reason instead: `view_once`, …
    pub unavailable: Option<String>,
    pub id: Option<String>,
    pub addressing: Option<AddressingMode>,
    pub push_name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFault {
    /// The store has it no longer.
    Gone,
    /// A byte is another one.
    Corrupted,
    /// The message says that it has one byte less.
    Longer,
    /// Half of it comes, and then nothing.
    Stalled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Default, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    #[default]
    Text,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Location,
    Contact,
    Reaction,
    Contacts,
    LiveLocation,
    Poll,
    Vote,
    ListReply,
    ButtonReply,
    Edit,
    Revoke,
    /// Any message of WhatsApp's protocol, as protobuf in `base64`.
    Raw,
}

/// One of several contacts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VcardEntry {
    pub display_name: String,
    pub vcard: String,
}

/// The contact that sends a message, and what the message refers to.
#[derive(Clone, Copy)]
pub struct SendingContact<'a> {
    pub number: &'a PhoneNumber,
    /// The other side of a direct chat.
    pub to: Option<&'a PhoneNumber>,
    /// By which kind of address the contact writes to it.
    pub addressing: AddressingMode,
    /// The poll that is voted on, as the speaker's phone received it.
    pub poll: Option<&'a ReceivedMessage>,
    /// The message that is edited, as the speaker's phone sent it.
    pub original: Option<&'a SentPlaintext>,
}

pub(super) fn required<T>(value: Option<T>, name: &str) -> ApiResult<T> {
    value.ok_or_else(|| ApiError::bad(format!("`{name}` is missing: a message of this type has one")))
}
