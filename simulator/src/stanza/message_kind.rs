//! What the stanza around a message says of its content: type, kind of media, and how the server and the receiver treat it.
//! An envelope has the kind of what is in it. The rules for stanzas are those of the client library, which also sends by
//! them; the names of the control API are the simulator's own.

use wacore::{
    proto_helpers::MessageExt as _,
    send::{media_type_from_message, should_hide_decrypt_fail_for_send, stanza_type_from_message},
    types::message::EditAttribute,
};
use waproto::whatsapp::{
    Message,
    message::{PollCreationMessage, ProtocolMessage, protocol_message::Type, secret_encrypted_message::SecretEncType},
};

#[derive(Debug, Clone, Copy)]
pub struct StanzaKind {
    /// As the control API calls it.
    pub name: &'static str,
    pub stanza_type: &'static str,
    pub mediatype: Option<&'static str>,
    /// It changes an earlier message: `1` its text, `2` pins it, `7` deleted by who wrote it, `8` by an administrator.
    pub edit: Option<&'static str>,
    /// A receiver that cannot decrypt it shows nothing.
    pub hides_failure: bool,
    pub meta: StanzaMeta,
}

/// What `<meta>` says besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StanzaMeta {
    /// What it is of a poll.
    pub polltype: Option<&'static str>,
    /// What it is of a calendar event.
    pub event_type: Option<&'static str>,
    pub view_once: bool,
}

pub(super) fn kind(message: &Message) -> StanzaKind {
    let edit = EditAttribute::infer_from_message(message);
    StanzaKind {
        name: name(message),
        stanza_type: stanza_type_from_message(message),
        mediatype: media_type_from_message(message),
        hides_failure: should_hide_decrypt_fail_for_send(edit.as_ref(), message),
        edit: edit
            .and_then(|edit| ["1", "2", "3", "7", "8"].into_iter().find(|written| *written == edit.to_string_val())),
        meta: meta(message),
    }
}

fn meta(message: &Message) -> StanzaMeta {
    let secret = message.secret_encrypted_message.as_option();
    StanzaMeta {
        polltype: if poll(message).is_some() {
            Some("creation")
        } else {
            message.poll_update_message.as_option().filter(|update| update.vote.is_set()).map(|_| "vote")
        },
        event_type: if message.event_message.is_set() {
            Some("creation")
        } else if message.enc_event_response_message.is_set() {
            Some("response")
        } else {
            secret.filter(|secret| secret.secret_enc_type == Some(SecretEncType::EVENT_EDIT)).map(|_| "edit")
        },
        view_once: message.is_view_once(),
    }
}

fn name(message: &Message) -> &'static str {
    if let Some(inner) = inside(message) {
        return name(inner);
    }
    let change = |protocol: &ProtocolMessage| match protocol.r#type {
        Some(Type::REVOKE) => "revoke",
        Some(Type::MESSAGE_EDIT) => "edit",
        _ => "protocol",
    };
    let table = [
        (message.image_message.is_set(), "image"),
        (message.video_message.is_set(), "video"),
        (message.ptv_message.is_set(), "ptv"),
        (message.audio_message.is_set(), "audio"),
        (message.document_message.is_set(), "document"),
        (message.sticker_message.is_set(), "sticker"),
        (message.location_message.is_set(), "location"),
        (message.live_location_message.is_set(), "live_location"),
        (message.contact_message.is_set(), "contact"),
        (message.contacts_array_message.is_set(), "contacts"),
        (message.list_response_message.is_set(), "list_reply"),
        (message.buttons_response_message.is_set(), "button_reply"),
        (message.group_invite_message.is_set(), "group_invite"),
        (message.reaction_message.is_set() || message.enc_reaction_message.is_set(), "reaction"),
        (message.protocol_message.is_set(), message.protocol_message.as_option().map_or("protocol", change)),
        (message.secret_encrypted_message.is_set(), "edit"),
        (message.pin_in_chat_message.is_set(), "pin"),
        (message.keep_in_chat_message.is_set(), "keep"),
        (poll(message).is_some(), "poll"),
        (message.poll_update_message.is_set(), "vote"),
        (message.event_message.is_set(), "event"),
        (message.extended_text_message.is_set() || message.conversation.is_some(), "text"),
    ];
    table.into_iter().find_map(|(is_it, name)| is_it.then_some(name)).unwrap_or("unknown")
}

/// What is in an envelope.
pub(super) fn inside(message: &Message) -> Option<&Message> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use buffa::MessageField;
    use waproto::whatsapp::{
        MessageKey,
        message::{AudioMessage, PollUpdateMessage, ReactionMessage},
    };

    fn revoke(from_me: bool) -> Message {
        let key = MessageKey { from_me: Some(from_me), ..Default::default() };
        let revoke = ProtocolMessage { r#type: Some(Type::REVOKE), key: MessageField::some(key), ..Default::default() };
        Message { protocol_message: MessageField::some(revoke), ..Default::default() }
    }

    #[test]
    fn a_stanza_says_what_real_ones_say() {
        let voice = AudioMessage { ptt: Some(true), ..Default::default() };
        let voice = Message { audio_message: MessageField::some(voice), ..Default::default() };
        let taken_back = ReactionMessage { text: Some(String::new()), ..Default::default() };
        let taken_back = Message { reaction_message: MessageField::some(taken_back), ..Default::default() };
        let poll = Message {
            poll_creation_message_v3: MessageField::some(PollCreationMessage::default()),
            ..Default::default()
        };
        let vote = PollUpdateMessage { vote: MessageField::some(Default::default()), ..Default::default() };
        let vote = Message { poll_update_message: MessageField::some(vote), ..Default::default() };
        let table = [
            (voice, "audio", "media", Some("ptt"), None, false, None),
            (taken_back, "reaction", "reaction", None, Some("7"), true, None),
            (revoke(true), "revoke", "text", None, Some("7"), false, None),
            (revoke(false), "revoke", "text", None, Some("8"), false, None),
            (poll, "poll", "poll", None, None, false, Some("creation")),
            (vote, "vote", "poll", None, None, true, Some("vote")),
        ];
        for (message, name, stanza_type, mediatype, edit, hides_failure, polltype) in table {
            let kind = kind(&message);
            assert_eq!((kind.name, kind.stanza_type, kind.mediatype), (name, stanza_type, mediatype));
            assert_eq!((kind.edit, kind.hides_failure, kind.meta.polltype), (edit, hides_failure, polltype), "{name}");
        }
    }
}
