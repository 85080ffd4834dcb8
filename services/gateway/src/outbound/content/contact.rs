//! A contact card.

use super::{
    message::{MessageToSend, parse_jid},
    quote::quote_context,
};
use buffa::MessageField;
use kurir_contract::command::{CommandError, SendContact};
use waproto::whatsapp::{Message, message::ContactMessage};

/// # Errors
/// If the card is not valid.
pub fn build_contact(request: SendContact) -> Result<MessageToSend, CommandError> {
    if request.display_name.trim().is_empty() || !request.vcard.trim_start().starts_with("BEGIN:VCARD") {
        return Err(CommandError::invalid("a contact has a displayName and a vcard that starts with BEGIN:VCARD"));
    }
    let jid = parse_jid(&request.to)?;
    let fingerprint = request.fingerprint();
    let SendContact { to, display_name, vcard, quoted, quote, idempotency_key: key } = request;
    let card = ContactMessage {
        display_name: Some(display_name),
        vcard: Some(vcard),
        context_info: quote_context(quoted.as_deref(), quote.as_ref(), &jid),
        ..ContactMessage::default()
    };
    let message = Message { contact_message: MessageField::some(card), ..Message::default() };
    Ok(MessageToSend { to, jid, message, attachment: None, key, fingerprint })
}
