//! What a message is: its stanza's type, and how the control API shows it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::Message as _;
use waproto::whatsapp::{
    ContextInfo, Message, MessageKey,
    message::{PollCreationMessage, protocol_message::Type},
};

use crate::{
    groups,
    people::{AddressingMode, ReceivedMessage},
    phone_number::PhoneNumber,
};

pub(super) struct StanzaKind {
    pub name: &'static str,
    pub stanza_type: &'static str,
    pub mediatype: Option<&'static str>,
}

pub(super) fn kind(message: &Message) -> StanzaKind {
    let media = |name| StanzaKind { name, stanza_type: "media", mediatype: Some(name) };
    let other = |name, stanza_type| StanzaKind { name, stanza_type, mediatype: None };
    if message.image_message.is_set() {
        media("image")
    } else if message.video_message.is_set() {
        media("video")
    } else if message.ptv_message.is_set() {
        media("ptv")
    } else if let Some(audio) = message.audio_message.as_option() {
        // A voice note has a media type of its own.
        let mediatype = if audio.ptt == Some(true) { "ptt" } else { "audio" };
        StanzaKind { name: "audio", stanza_type: "media", mediatype: Some(mediatype) }
    } else if message.document_message.is_set() {
        media("document")
    } else if message.sticker_message.is_set() {
        media("sticker")
    } else if message.location_message.is_set() {
        media("location")
    } else if message.contact_message.is_set() {
        StanzaKind { name: "contact", stanza_type: "media", mediatype: Some("vcard") }
    } else if message.reaction_message.is_set() {
        other("reaction", "reaction")
    } else if let Some(protocol) = message.protocol_message.as_option() {
        match protocol.r#type {
            Some(Type::REVOKE) => other("revoke", "text"),
            Some(Type::MESSAGE_EDIT) => other("edit", "text"),
            _ => other("protocol", "text"),
        }
    } else if message.edited_message.is_set() {
        other("edit", "text")
    } else if poll(message).is_some() {
        other("poll", "poll")
    } else if message.poll_update_message.is_set() {
        other("vote", "poll")
    } else if message.conversation.is_some() || message.extended_text_message.is_set() {
        other("text", "text")
    } else {
        other("unknown", "text")
    }
}

pub(super) fn received(
    message: &Message,
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
        raw: BASE64_STANDARD.encode(message.encode_to_vec()),
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

/// The poll that a message is: WhatsApp Web writes the third version for a single choice, the first for several.
fn poll(message: &Message) -> Option<&PollCreationMessage> {
    message.poll_creation_message_v3.as_option().or_else(|| message.poll_creation_message.as_option())
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
