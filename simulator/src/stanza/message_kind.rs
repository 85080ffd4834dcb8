//! What the stanza around a message says of its content: type, kind of media, and how the server and the receiver treat it.
//! As WhatsApp's clients write it: an envelope has the kind of what is in it.

use waproto::whatsapp::{
    Message,
    message::{PollCreationMessage, protocol_message::Type},
};

#[derive(Debug, Clone, Copy)]
pub struct StanzaKind {
    /// As the control API calls it.
    pub name: &'static str,
    pub stanza_type: &'static str,
    pub mediatype: Option<&'static str>,
    /// It changes an earlier message: `1` its text, `7` deleted by who wrote it, `8` by an administrator.
    pub edit: Option<&'static str>,
    /// A receiver that cannot decrypt it shows nothing.
    pub hides_failure: bool,
    /// What it is of a poll.
    pub polltype: Option<&'static str>,
}

impl StanzaKind {
    const fn text(name: &'static str) -> Self {
        Self { name, stanza_type: "text", mediatype: None, edit: None, hides_failure: false, polltype: None }
    }

    const fn media(name: &'static str, mediatype: &'static str) -> Self {
        Self { stanza_type: "media", mediatype: Some(mediatype), ..Self::text(name) }
    }

    const fn hidden(self) -> Self {
        Self { hides_failure: true, ..self }
    }
}

pub(super) fn kind(message: &Message) -> StanzaKind {
    if let Some(inner) = inside(message) {
        return kind(inner);
    }
    if message.image_message.is_set() {
        StanzaKind::media("image", "image")
    } else if let Some(video) = message.video_message.as_option() {
        StanzaKind::media("video", if video.gif_playback == Some(true) { "gif" } else { "video" })
    } else if message.ptv_message.is_set() {
        StanzaKind::media("ptv", "ptv")
    } else if let Some(audio) = message.audio_message.as_option() {
        // A voice note has a media type of its own.
        StanzaKind::media("audio", if audio.ptt == Some(true) { "ptt" } else { "audio" })
    } else if message.document_message.is_set() {
        StanzaKind::media("document", "document")
    } else if message.sticker_message.is_set() {
        StanzaKind::media("sticker", "sticker")
    } else if message.location_message.is_set() {
        StanzaKind::media("location", "location")
    } else if message.live_location_message.is_set() {
        StanzaKind::media("live_location", "livelocation")
    } else if message.contact_message.is_set() {
        StanzaKind::media("contact", "vcard")
    } else if message.contacts_array_message.is_set() {
        StanzaKind::media("contacts", "contact_array")
    } else if message.list_response_message.is_set() {
        StanzaKind::media("list_reply", "list_response")
    } else if message.buttons_response_message.is_set() {
        StanzaKind::media("button_reply", "buttons_response")
    } else if message.group_invite_message.is_set() {
        StanzaKind::media("group_invite", "url")
    } else if let Some(reaction) = message.reaction_message.as_option() {
        // A reaction that is taken back.
        let edit = reaction.text.as_deref().is_none_or(str::is_empty).then_some("7");
        StanzaKind { stanza_type: "reaction", edit, ..StanzaKind::text("reaction") }.hidden()
    } else if message.enc_reaction_message.is_set() {
        StanzaKind { stanza_type: "reaction", ..StanzaKind::text("reaction") }.hidden()
    } else if let Some(protocol) = message.protocol_message.as_option() {
        let is_own = protocol.key.as_option().is_some_and(|key| key.from_me == Some(true));
        match protocol.r#type {
            Some(Type::REVOKE) => {
                StanzaKind { edit: Some(if is_own { "7" } else { "8" }), ..StanzaKind::text("revoke") }
            }
            Some(Type::MESSAGE_EDIT) => StanzaKind { edit: Some("1"), ..StanzaKind::text("edit") }.hidden(),
            _ => StanzaKind::text("protocol"),
        }
    } else if message.secret_encrypted_message.is_set() {
        StanzaKind { edit: Some("1"), ..StanzaKind::text("edit") }.hidden()
    } else if message.pin_in_chat_message.is_set() {
        StanzaKind::text("pin").hidden()
    } else if message.keep_in_chat_message.is_set() {
        StanzaKind::text("keep").hidden()
    } else if poll(message).is_some() {
        StanzaKind { stanza_type: "poll", polltype: Some("creation"), ..StanzaKind::text("poll") }
    } else if message.poll_update_message.is_set() {
        StanzaKind { stanza_type: "poll", polltype: Some("vote"), ..StanzaKind::text("vote") }.hidden()
    } else if message.event_message.is_set() {
        StanzaKind { stanza_type: "event", ..StanzaKind::text("event") }
    } else if let Some(text) = message.extended_text_message.as_option() {
        if text.matched_text.is_some() { StanzaKind::media("text", "url") } else { StanzaKind::text("text") }
    } else if message.conversation.is_some() {
        StanzaKind::text("text")
    } else {
        StanzaKind::text("unknown")
    }
}

/// What is in an envelope.
fn inside(message: &Message) -> Option<&Message> {
    [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
        &message.edited_message,
    ]
    .into_iter()
    .find_map(|envelope| envelope.as_option()?.message.as_option())
}

/// The poll that a message is: WhatsApp Web writes the third version for a single choice, the first for several.
pub(super) fn poll(message: &Message) -> Option<&PollCreationMessage> {
    message.poll_creation_message_v3.as_option().or_else(|| message.poll_creation_message.as_option())
}
