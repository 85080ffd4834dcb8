//! What goes out, a file for each kind: the message as WhatsApp has it. Pure.
//!
//! Its event is read from the message, as the event of one that was written on the phone is; only what the contract says of
//! a file comes with the file.

mod contact;
mod forward;
mod location;
mod media;
mod poll;
mod text;
mod update;

pub use media::FileAttachment;

use buffa::MessageField;
use kurir_contract::{
    address::ChatJid,
    command::{Command, CommandError, CommandErrorCode, IdempotencyKey},
};
use serde::de::DeserializeOwned;
use wacore_binary::Jid;
use waproto::whatsapp::{ContextInfo, Message};

/// A message that was checked and is ready to go.
#[derive(Clone)]
pub struct OutgoingMessage {
    pub to: ChatJid,
    pub jid: Jid,
    pub message: Message,
    /// Its file, which is uploaded before it goes.
    pub attachment: Option<FileAttachment>,
    pub key: Option<IdempotencyKey>,
    /// Tells this message from every other that its key could be used for.
    pub fingerprint: String,
}

impl OutgoingMessage {
    /// Whether it is a message of its own, and not about one that is there (a reaction, an edit, a deletion).
    #[must_use]
    pub fn is_message(&self) -> bool {
        !self.message.reaction_message.is_set() && !self.message.protocol_message.is_set()
    }
}

/// Reads what a command asks to send.
///
/// # Errors
/// If it cannot be read, or says something impossible.
pub fn build_message(command: Command, request: &[u8]) -> Result<OutgoingMessage, CommandError> {
    match command {
        Command::SendText => text::build_text(parse_request(request)?),
        Command::SendLocation => location::build_location(parse_request(request)?),
        Command::SendContact => contact::build_contact(parse_request(request)?),
        Command::SendMedia => media::build_media(parse_request(request)?),
        Command::SendPoll => poll::build_poll(parse_request(request)?),
        Command::SendReaction => update::build_reaction(parse_request(request)?),
        Command::SendEdit => update::build_edit(parse_request(request)?),
        Command::SendRevoke => update::build_revoke(parse_request(request)?),
        Command::SendForward => forward::build_forward(parse_request(request)?),
        // Every other command is answered, and sends nothing.
        _ => Err(invalid("this command sends nothing")),
    }
}

fn parse_request<T: DeserializeOwned>(request: &[u8]) -> Result<T, CommandError> {
    serde_json::from_slice(request).map_err(|error| invalid(&format!("the request cannot be read: {error}")))
}

fn parse_jid(to: &ChatJid) -> Result<Jid, CommandError> {
    to.as_str().parse().map_err(|_| invalid("Invalid phone number format"))
}

fn invalid(message: &str) -> CommandError {
    CommandError { code: CommandErrorCode::InvalidRequest, message: message.to_owned(), whatsapp_code: None }
}

/// What a reply says of the message that it answers; unset if it answers none.
fn quote_context(quoted: Option<&str>, chat: &Jid) -> MessageField<ContextInfo> {
    let Some(quoted) = quoted else { return MessageField::default() };
    // In a direct chat a reply is nearly always to the other; in a group only the app itself knows to whom.
    let participant = (chat.is_pn() || chat.is_lid()).then(|| chat.to_non_ad().to_string());
    MessageField::some(ContextInfo {
        stanza_id: Some(quoted.to_owned()),
        participant,
        quoted_message: MessageField::some(Message { conversation: Some(String::new()), ..Message::default() }),
        ..ContextInfo::default()
    })
}

#[cfg(test)]
mod tests;
