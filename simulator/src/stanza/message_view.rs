//! How the control API shows a message that a phone received.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use waproto::whatsapp::{ContextInfo, Message, MessageKey};

use super::message_kind::{kind, poll};
use crate::{
    groups,
    people::{AddressingMode, ReceivedMessage},
    phone_number::PhoneNumber,
};

/// `raw` are the bytes that were decrypted, which can hold more than `message`.
pub(super) fn received(
    (message, raw): (&Message, &[u8]),
    id: &str,
    from: &PhoneNumber,
    device: u16,
    group: Option<&str>,
    addressing: AddressingMode,
    timestamp: i64,
) -> ReceivedMessage {
    let mut received = ReceivedMessage {
        id: id.to_owned(),
        from: from.clone(),
        device,
        kind: kind(message).name.to_owned(),
        text: message.conversation.clone(),
        caption: None,
        mimetype: None,
        file_name: None,
        quoted: None,
        target: None,
        target_author: None,
        quoted_author: None,
        mentions: Vec::new(),
        forwarded: None,
        options: Vec::new(),
        selectable: None,
        group: group.map(groups::whole),
        sent_to: None,
        addressing: match addressing {
            AddressingMode::Pn => "pn",
            AddressingMode::Lid => "lid",
        }
        .to_owned(),
        timestamp,
        copies: 1,
        complaints: Vec::new(),
        raw: BASE64_STANDARD.encode(raw),
    };
    if let Some(text) = message.extended_text_message.as_option() {
        received.text = text.text.clone();
        around(&mut received, text.context_info.as_option());
    } else if let Some(image) = message.image_message.as_option() {
        received.caption = image.caption.clone();
        received.mimetype = image.mimetype.clone();
        around(&mut received, image.context_info.as_option());
    } else if let Some(video) = message.video_message.as_option().or_else(|| message.ptv_message.as_option()) {
        received.caption = video.caption.clone();
        received.mimetype = video.mimetype.clone();
        around(&mut received, video.context_info.as_option());
    } else if let Some(audio) = message.audio_message.as_option() {
        received.mimetype = audio.mimetype.clone();
        around(&mut received, audio.context_info.as_option());
    } else if let Some(document) = message.document_message.as_option() {
        received.caption = document.caption.clone();
        received.mimetype = document.mimetype.clone();
        received.file_name = document.file_name.clone();
        around(&mut received, document.context_info.as_option());
    } else if let Some(sticker) = message.sticker_message.as_option() {
        received.mimetype = sticker.mimetype.clone();
        around(&mut received, sticker.context_info.as_option());
    } else if let Some(reaction) = message.reaction_message.as_option() {
        received.text = reaction.text.clone();
        about(&mut received, reaction.key.as_option());
    } else if let Some(protocol) = message.protocol_message.as_option() {
        about(&mut received, protocol.key.as_option());
        received.text = protocol.edited_message.as_option().and_then(|edited| edited.conversation.clone());
    } else if let Some(contact) = message.contact_message.as_option() {
        received.text = contact.display_name.clone();
        around(&mut received, contact.context_info.as_option());
    } else if let Some(place) = message.location_message.as_option() {
        around(&mut received, place.context_info.as_option());
    } else if let Some(poll) = poll(message) {
        received.text = poll.name.clone();
        received.options = poll.options.iter().filter_map(|option| option.option_name.clone()).collect();
        received.selectable = poll.selectable_options_count;
    }
    received
}

fn about(received: &mut ReceivedMessage, key: Option<&MessageKey>) {
    received.target = key.and_then(|key| key.id.clone());
    received.target_author = key.and_then(|key| key.participant.clone());
}

/// What a message answers, whom it mentions, and that it was said elsewhere before.
fn around(received: &mut ReceivedMessage, context: Option<&ContextInfo>) {
    let Some(context) = context else { return };
    received.quoted = context.stanza_id.clone();
    received.quoted_author = context.participant.clone();
    received.mentions = context.mentioned_jid.clone();
    received.forwarded = context.forwarding_score.filter(|_| context.is_forwarded == Some(true));
}
