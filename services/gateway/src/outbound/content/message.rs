//! A message that is ready to be sent, and what all kinds of content share.

use super::quote::context_mut;
use kurir_contract::{
    address::ChatJid,
    command::{CommandError, FileToSend, IdempotencyKey, MediaKind},
    event::MessageContent,
};
use wacore_binary::Jid;
use waproto::whatsapp::Message;

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
    /// Sends the message to the address under which its recipient is known.
    pub fn set_recipient(&mut self, account: ChatJid) {
        if account == self.to {
            return;
        }
        let Ok(jid) = parse_jid(&account) else { return };
        let before = self.jid.to_non_ad().to_string();
        // A quote in a direct chat names the other person.
        if let Some(context) = context_mut(&mut self.message).filter(|context| context.participant == Some(before)) {
            context.participant = Some(jid.to_non_ad().to_string());
        }
        (self.to, self.jid) = (account, jid);
    }

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
