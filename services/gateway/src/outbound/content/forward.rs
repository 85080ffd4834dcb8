//! What was said elsewhere, and says so. The content comes with the request: no message is kept here.

use super::{Outgoing, contact, jid_of, location, text};
use buffa::MessageField;
use kurir_contract::command::{Forwarded, Refusal, SendContact, SendForward, SendLocation};
use waproto::whatsapp::{ContextInfo, Message, message::ExtendedTextMessage};

/// WhatsApp's "many times", from which it does not count on.
const MANY_TIMES: u32 = 127;

/// # Errors
/// If the content could not be sent either.
pub fn forward(request: SendForward) -> Result<Outgoing, Refusal> {
    let fingerprint = request.fingerprint();
    let SendForward { to, message, forwarding_score, idempotency_key: key } = request;
    let info = MessageField::some(ContextInfo {
        is_forwarded: Some(true),
        forwarding_score: Some(forwarding_score.saturating_add(1).min(MANY_TIMES)),
        ..ContextInfo::default()
    });
    let message = match message {
        Forwarded::Text { text } => {
            text::checked(&text)?;
            let text = ExtendedTextMessage { text: Some(text), context_info: info, ..ExtendedTextMessage::default() };
            Message { extended_text_message: MessageField::some(text), ..Message::default() }
        }
        Forwarded::Location { latitude, longitude, name, address } => {
            let to = to.clone();
            let place = SendLocation { to, latitude, longitude, name, address, quoted: None, idempotency_key: None };
            let mut message = location::location(place)?.message;
            if let Some(place) = message.location_message.as_option_mut() {
                place.context_info = info;
            }
            message
        }
        Forwarded::Contact { display_name, vcard } => {
            let card = SendContact { to: to.clone(), display_name, vcard, quoted: None, idempotency_key: None };
            let mut message = contact::contact(card)?.message;
            if let Some(card) = message.contact_message.as_option_mut() {
                card.context_info = info;
            }
            message
        }
    };
    Ok(Outgoing { jid: jid_of(&to)?, to, message, attachment: None, key, fingerprint })
}
