//! A forwarded message. Its content comes with the request, and its file is sent from where it is stored: the gateway
//! keeps no messages.

use super::{
    contact, location, media,
    message::{MessageToSend, parse_jid},
    text,
};
use buffa::MessageField;
use kurir_contract::command::{CommandError, ForwardedContent, SendContact, SendForward, SendLocation};
use waproto::whatsapp::{ContextInfo, Message, message::ExtendedTextMessage};

/// WhatsApp's "forwarded many times". The score stops there.
const MANY_TIMES: u32 = 127;

/// # Errors
/// If the content could not be sent as a new message either.
pub fn build_forward(request: SendForward) -> Result<MessageToSend, CommandError> {
    let fingerprint = request.fingerprint();
    let file = request.as_media();
    let SendForward { to, message, media: _, forwarding_score, idempotency_key: key } = request;
    let info = MessageField::some(ContextInfo {
        is_forwarded: Some(true),
        forwarding_score: Some(forwarding_score.saturating_add(1).min(MANY_TIMES)),
        ..ContextInfo::default()
    });
    let message = match message {
        ForwardedContent::Text { text } => {
            text::validate_text(&text)?;
            let text = ExtendedTextMessage { text: Some(text), context_info: info, ..ExtendedTextMessage::default() };
            Message { extended_text_message: MessageField::some(text), ..Message::default() }
        }
        ForwardedContent::Location { latitude, longitude, name, address } => {
            let to = to.clone();
            let place = SendLocation {
                to,
                latitude,
                longitude,
                name,
                address,
                quoted: None,
                quote: None,
                idempotency_key: None,
            };
            let mut message = location::build_location(place)?.message;
            if let Some(place) = message.location_message.as_option_mut() {
                place.context_info = info;
            }
            message
        }
        ForwardedContent::Contact { display_name, vcard } => {
            let card =
                SendContact { to: to.clone(), display_name, vcard, quoted: None, quote: None, idempotency_key: None };
            let mut message = contact::build_contact(card)?.message;
            if let Some(card) = message.contact_message.as_option_mut() {
                card.context_info = info;
            }
            message
        }
        ForwardedContent::Image(_)
        | ForwardedContent::Video(_)
        | ForwardedContent::Audio(_)
        | ForwardedContent::Document(_)
        | ForwardedContent::Sticker(_) => {
            let file =
                file.ok_or_else(|| CommandError::invalid("a file that was not downloaded cannot be forwarded"))?;
            let mut outgoing = media::build_media(file)?;
            set_forward_context(&mut outgoing.message, &info);
            return Ok(MessageToSend { fingerprint, ..outgoing });
        }
    };
    Ok(MessageToSend { jid: parse_jid(&to)?, to, message, attachment: None, key, fingerprint })
}

/// Writes the forwarding mark around a file.
fn set_forward_context(message: &mut Message, info: &MessageField<ContextInfo>) {
    if let Some(image) = message.image_message.as_option_mut() {
        image.context_info = info.clone();
    }
    for video in [&mut message.video_message, &mut message.ptv_message] {
        if let Some(video) = video.as_option_mut() {
            video.context_info = info.clone();
        }
    }
    if let Some(audio) = message.audio_message.as_option_mut() {
        audio.context_info = info.clone();
    }
    if let Some(document) = message.document_message.as_option_mut() {
        document.context_info = info.clone();
    }
    if let Some(sticker) = message.sticker_message.as_option_mut() {
        sticker.context_info = info.clone();
    }
}
