//! A text, alone or as a reply.

use super::{Outgoing, invalid, jid_of, reply_to};
use buffa::MessageField;
use kurir_contract::command::{Refusal, SendText};
use waproto::whatsapp::{Message, message::ExtendedTextMessage};

/// The contract's bound, in characters.
const LONGEST: usize = 4096;

/// # Errors
/// With the contract's texts.
pub fn text(request: SendText) -> Result<Outgoing, Refusal> {
    if request.text.trim().is_empty() {
        return Err(invalid("Message is required and must be a string"));
    }
    if request.text.chars().count() > LONGEST {
        return Err(invalid("Message is too long (max 4096 characters)"));
    }
    let jid = jid_of(&request.to)?;
    let fingerprint = request.fingerprint();
    let SendText { to, text, quoted, idempotency_key: key } = request;
    let context_info = reply_to(quoted.as_deref(), &jid);
    let message = if quoted.is_some() {
        let extended = ExtendedTextMessage { text: Some(text), context_info, ..ExtendedTextMessage::default() };
        Message { extended_text_message: MessageField::some(extended), ..Message::default() }
    } else {
        Message { conversation: Some(text), ..Message::default() }
    };
    Ok(Outgoing { to, jid, message, key, fingerprint })
}
