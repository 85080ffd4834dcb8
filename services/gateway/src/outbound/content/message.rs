//! A message that is ready to be sent, and what all kinds of content share.

use buffa::MessageField;
use kurir_contract::{
    address::ChatJid,
    command::{CommandError, FileToSend, IdempotencyKey, MediaKind},
    event::MessageContent,
};
use wacore_binary::Jid;
use waproto::whatsapp::{ContextInfo, Message};

/// A valid message, ready to be sent.
#[derive(Clone)]
pub struct MessageToSend {
    pub to: ChatJid,
    pub jid: Jid,
    pub message: Message,
    /// The file, which is uploaded before the message is sent.
    pub attachment: Option<FileAttachment>,
    pub key: Option<IdempotencyKey>,
    /// Distinguishes this message from every other one for which its key could be used.
    pub fingerprint: String,
}

impl MessageToSend {
    /// Whether it is a message of its own. A reaction, an edit and a deletion refer to another message.
    #[must_use]
    pub fn is_message(&self) -> bool {
        !self.message.reaction_message.is_set() && !self.message.protocol_message.is_set()
    }
}

/// The file of a message.
#[derive(Clone, Debug)]
pub struct FileAttachment {
    pub kind: MediaKind,
    pub file: FileToSend,
    /// The content in the message's event.
    pub content: MessageContent,
}

pub fn parse_jid(to: &ChatJid) -> Result<Jid, CommandError> {
    to.as_str().parse().map_err(|_| CommandError::invalid("Invalid phone number format"))
}

/// The quote in a reply; unset if the message is no reply.
pub fn quote_context(quoted: Option<&str>, chat: &Jid) -> MessageField<ContextInfo> {
    let Some(quoted) = quoted else { return MessageField::default() };
    // In a direct chat a reply is nearly always to the other person. In a group only the app itself knows who wrote the
    // quoted message.
    let participant = (chat.is_pn() || chat.is_lid()).then(|| chat.to_non_ad().to_string());
    MessageField::some(ContextInfo {
        stanza_id: Some(quoted.to_owned()),
        participant,
        quoted_message: MessageField::some(Message { conversation: Some(String::new()), ..Message::default() }),
        ..ContextInfo::default()
    })
}
