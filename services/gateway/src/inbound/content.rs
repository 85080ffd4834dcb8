//! The content of a message, one kind for each that the contract names. Pure.

use kurir_contract::event::Content;
use serde::Serialize;
use serde_json::Value;
use waproto::whatsapp::{Message, message::ContactMessage};

/// What a message holds; none if it holds nothing that a user would read.
#[must_use]
pub fn content_of(message: &Message) -> Option<Content> {
    let message = unwrapped(message);
    if is_no_content(message) {
        return None;
    }
    known(message).or_else(|| unknown(message))
}

/// Takes a message out of the envelopes that WhatsApp puts around it: ephemeral, view once, …
fn unwrapped(message: &Message) -> &Message {
    let mut message = message;
    // Each envelope is a level of the decoded message, whose depth the decoder bounds.
    while let Some(inner) = envelope(message) {
        message = inner;
    }
    message
}

fn envelope(message: &Message) -> Option<&Message> {
    let sent_by_own_device = message.device_sent_message.as_option().and_then(|sent| sent.message.as_option());
    let envelopes = [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
        &message.group_mentioned_message,
        &message.lottie_sticker_message,
        &message.edited_message,
    ];
    let inner = || envelopes.into_iter().find_map(|envelope| envelope.as_option())?.message.as_option();
    sent_by_own_device.or_else(inner)
}

/// Protocol messages, reactions and keys: other events tell of them, or none.
fn is_no_content(message: &Message) -> bool {
    message.protocol_message.is_set() || message.reaction_message.is_set() || message.enc_reaction_message.is_set()
}

fn known(message: &Message) -> Option<Content> {
    let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
    if let Some(text) = &message.conversation {
        return Some(Content::Text { text: text.clone() });
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        return Some(Content::Text { text: or(&extended.text, "") });
    }
    if let Some(image) = message.image_message.as_option() {
        return Some(Content::Image { caption: or(&image.caption, ""), mimetype: or(&image.mimetype, "image/jpeg") });
    }
    if let Some(video) = message.video_message.as_option().or_else(|| message.ptv_message.as_option()) {
        return Some(Content::Video { caption: or(&video.caption, ""), mimetype: or(&video.mimetype, "video/mp4") });
    }
    if let Some(audio) = message.audio_message.as_option() {
        return Some(Content::Audio { mimetype: or(&audio.mimetype, "audio/ogg") });
    }
    if let Some(document) = message.document_message.as_option() {
        let file_name = or(&document.file_name, "document");
        return Some(Content::Document { file_name, mimetype: or(&document.mimetype, "application/octet-stream") });
    }
    if let Some(sticker) = message.sticker_message.as_option() {
        return Some(Content::Sticker { mimetype: or(&sticker.mimetype, "image/webp") });
    }
    if let Some(contact) = message.contact_message.as_option() {
        return Some(contacts(contact.display_name.as_deref(), [contact]));
    }
    if let Some(several) = message.contacts_array_message.as_option() {
        return Some(contacts(several.display_name.as_deref(), &several.contacts));
    }
    if let Some(place) = message.location_message.as_option() {
        return Some(Content::Location {
            latitude: place.degrees_latitude.unwrap_or_default(),
            longitude: place.degrees_longitude.unwrap_or_default(),
            name: or(&place.name, ""),
            address: or(&place.address, ""),
        });
    }
    if let Some(place) = message.live_location_message.as_option() {
        return Some(Content::Location {
            latitude: place.degrees_latitude.unwrap_or_default(),
            longitude: place.degrees_longitude.unwrap_or_default(),
            name: or(&place.caption, ""),
            address: String::new(),
        });
    }
    message.group_invite_message.as_option().map(|invite| Content::GroupInvite { raw: raw(invite) })
}

/// One card, or several one after the other, which is how a vCard file holds them.
fn contacts<'a>(name: Option<&str>, cards: impl IntoIterator<Item = &'a ContactMessage>) -> Content {
    let cards: Vec<&str> = cards.into_iter().filter_map(|card| card.vcard.as_deref()).collect();
    Content::Contact { display_name: name.unwrap_or_default().to_owned(), vcard: cards.join("\n") }
}

/// What is left, raw. A message that carries only keys is no content.
fn unknown(message: &Message) -> Option<Content> {
    let Value::Object(mut fields) = raw(message) else { return None };
    for key in ["senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage", "messageContextInfo"] {
        fields.remove(key);
    }
    (!fields.is_empty()).then_some(Content::Unknown { raw: Value::Object(fields) })
}

/// A protobuf message as JSON under its own field names, as in WhatsApp's definitions; what is unset is left out, and
/// bytes are arrays of numbers.
fn raw<M: Serialize>(message: &M) -> Value {
    // Cannot fail for a protobuf message; if it did, the message must still go out.
    pruned(serde_json::to_value(message).unwrap_or_else(|error| Value::String(error.to_string())))
}

fn pruned(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (camel_case(&name), pruned(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(pruned).collect(),
        other => other,
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests;
