//! A text, with or without a quote and mentions.

use super::{
    message::{MessageToSend, parse_jid},
    quote::quote_context,
};
use buffa::MessageField;
use kurir_contract::command::{Base64Bytes, CommandError, PagePreview, SendText};
use waproto::whatsapp::{Message, message::ExtendedTextMessage};

/// The API's limit, in characters.
const LONGEST: usize = 4096;
/// Stands for everybody in the group in a message that is not sent yet: only WhatsApp knows them.
pub const ALL: &str = "all";
/// As many as a group has members.
const MENTIONS: usize = 1_024;

/// # Errors
/// With the texts of the API.
pub fn build_text(request: SendText) -> Result<MessageToSend, CommandError> {
    validate_text(&request.text)?;
    if request.mentions.len() > MENTIONS {
        return Err(CommandError::invalid("options.mentions has at most 1024 recipients"));
    }
    let jid = parse_jid(&request.to)?;
    let fingerprint = request.fingerprint();
    let SendText {
        to,
        text,
        quoted,
        quoted_participant,
        quote,
        mentions,
        mention_all,
        link_preview,
        idempotency_key: key,
    } = request;
    let mut context_info = quote_context(quoted.as_deref(), quote.as_ref(), &jid);
    if let (Some(reply), Some(writer)) = (context_info.as_option_mut(), quoted_participant) {
        reply.participant = Some(writer.to_string());
    }
    if mention_all && !to.is_group() {
        return Err(CommandError::invalid("mentions of all are for groups"));
    }
    if !mentions.is_empty() || mention_all {
        let mut info = context_info.take().unwrap_or_default();
        info.mentioned_jid = mentions.iter().map(ToString::to_string).collect();
        if mention_all {
            info.mentioned_jid.push(ALL.to_owned());
        }
        context_info = MessageField::some(info);
    }
    let message = if context_info.is_set() || link_preview.is_some() {
        let mut extended = ExtendedTextMessage { text: Some(text), context_info, ..ExtendedTextMessage::default() };
        if let Some(preview) = link_preview {
            let PagePreview { url, title, description, thumbnail } = *preview;
            extended.matched_text = Some(url);
            extended.title = Some(title);
            extended.description = Some(description).filter(|description| !description.is_empty());
            extended.jpeg_thumbnail = thumbnail.map(|Base64Bytes(bytes)| bytes);
        }
        Message { extended_text_message: MessageField::some(extended), ..Message::default() }
    } else {
        Message { conversation: Some(text), ..Message::default() }
    };
    Ok(MessageToSend { to, jid, message, attachment: None, key, fingerprint })
}

/// Checks that WhatsApp takes the text.
pub(super) fn validate_text(text: &str) -> Result<(), CommandError> {
    if text.trim().is_empty() {
        return Err(CommandError::invalid("Message is required and must be a string"));
    }
    if text.chars().count() > LONGEST {
        return Err(CommandError::invalid("Message is too long (max 4096 characters)"));
    }
    Ok(())
}
