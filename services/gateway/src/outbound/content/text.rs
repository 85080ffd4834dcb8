//! A text, alone, as a reply, or with those whom it mentions.

use super::{OutgoingMessage, invalid, parse_jid, quote_context};
use buffa::MessageField;
use kurir_contract::command::{CommandError, SendText};
use waproto::whatsapp::{Message, message::ExtendedTextMessage};

/// The contract's bound, in characters.
const LONGEST: usize = 4096;
/// As many as a group has members.
const MENTIONS: usize = 1_024;

/// # Errors
/// With the contract's texts.
pub fn build_text(request: SendText) -> Result<OutgoingMessage, CommandError> {
    validate_text(&request.text)?;
    if request.mentions.len() > MENTIONS {
        return Err(invalid("options.mentions has at most 1024 recipients"));
    }
    let jid = parse_jid(&request.to)?;
    let fingerprint = request.fingerprint();
    let SendText { to, text, quoted, quoted_participant, mentions, idempotency_key: key } = request;
    let mut context_info = quote_context(quoted.as_deref(), &jid);
    if let (Some(reply), Some(writer)) = (context_info.as_option_mut(), quoted_participant) {
        reply.participant = Some(writer.to_string());
    }
    if !mentions.is_empty() {
        let mut info = context_info.take().unwrap_or_default();
        info.mentioned_jid = mentions.iter().map(ToString::to_string).collect();
        context_info = MessageField::some(info);
    }
    let message = if context_info.is_set() {
        let extended = ExtendedTextMessage { text: Some(text), context_info, ..ExtendedTextMessage::default() };
        Message { extended_text_message: MessageField::some(extended), ..Message::default() }
    } else {
        Message { conversation: Some(text), ..Message::default() }
    };
    Ok(OutgoingMessage { to, jid, message, attachment: None, key, fingerprint })
}

/// Whether it is a text that WhatsApp takes.
pub(super) fn validate_text(text: &str) -> Result<(), CommandError> {
    if text.trim().is_empty() {
        return Err(invalid("Message is required and must be a string"));
    }
    if text.chars().count() > LONGEST {
        return Err(invalid("Message is too long (max 4096 characters)"));
    }
    Ok(())
}
