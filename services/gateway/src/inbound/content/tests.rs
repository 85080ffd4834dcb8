//! One row for each kind of content, with and without what may be missing.

use super::*;
use buffa::MessageField;
use serde_json::json;
use waproto::whatsapp::{
    self as wa,
    message::{self as m, FutureProofMessage},
};

fn text(text: &str) -> Message {
    Message { conversation: Some(text.to_owned()), ..Message::default() }
}

fn json_of(message: &Message) -> Value {
    content_of(message).map_or(Value::Null, |content| serde_json::to_value(content).unwrap_or_default())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

macro_rules! with {
    ($field:ident: $kind:ident { $($name:ident: $value:expr),* $(,)? }) => {
        Message {
            $field: MessageField::some(m::$kind { $($name: $value,)* ..Default::default() }),
            ..Message::default()
        }
    };
}

#[test]
fn each_kind_has_its_content() {
    for (message, expected) in [
        (text("hello"), json!({"messageType": "text", "content": {"text": "hello"}})),
        (
            with!(extended_text_message: ExtendedTextMessage { text: some("a link") }),
            json!({"messageType": "text", "content": {"text": "a link"}}),
        ),
        (
            with!(image_message: ImageMessage { caption: some("sea"), mimetype: some("image/png") }),
            json!({"messageType": "image", "content": {"caption": "sea", "mimetype": "image/png"}}),
        ),
        (
            with!(image_message: ImageMessage {}),
            json!({"messageType": "image", "content": {"caption": "", "mimetype": "image/jpeg"}}),
        ),
        (
            with!(video_message: VideoMessage {}),
            json!({"messageType": "video", "content": {"caption": "", "mimetype": "video/mp4"}}),
        ),
        (
            with!(ptv_message: VideoMessage {}),
            json!({"messageType": "video", "content": {"caption": "", "mimetype": "video/mp4"}}),
        ),
        (with!(audio_message: AudioMessage {}), json!({"messageType": "audio", "content": {"mimetype": "audio/ogg"}})),
        (
            with!(document_message: DocumentMessage { file_name: some("a.pdf"), mimetype: some("application/pdf") }),
            json!({"messageType": "document", "content": {"fileName": "a.pdf", "mimetype": "application/pdf"}}),
        ),
        (
            with!(document_message: DocumentMessage {}),
            json!({"messageType": "document", "content": {"fileName": "document", "mimetype": "application/octet-stream"}}),
        ),
        (
            with!(sticker_message: StickerMessage {}),
            json!({"messageType": "sticker", "content": {"mimetype": "image/webp"}}),
        ),
        (
            with!(contact_message: ContactMessage { display_name: some("Ani"), vcard: some("BEGIN:VCARD") }),
            json!({"messageType": "contact", "content": {"displayName": "Ani", "vcard": "BEGIN:VCARD"}}),
        ),
        (
            with!(location_message: LocationMessage { degrees_latitude: Some(-6.5), degrees_longitude: Some(106.5) }),
            json!({"messageType": "location",
                "content": {"latitude": -6.5, "longitude": 106.5, "name": "", "address": ""}}),
        ),
        (
            with!(group_invite_message: GroupInviteMessage { group_name: some("Team") }),
            json!({"messageType": "group_invite", "content": {"raw": {"groupName": "Team"}}}),
        ),
    ] {
        assert_eq!(json_of(&message), expected);
    }
}

#[test]
fn several_contacts_are_one_file_of_cards() {
    let card = |vcard: &str| ContactMessage { vcard: some(vcard), ..Default::default() };
    let message = with!(contacts_array_message: ContactsArrayMessage {
        display_name: some("2 contacts"),
        contacts: vec![card("A"), card("B")],
    });
    let expected = json!({"messageType": "contact", "content": {"displayName": "2 contacts", "vcard": "A\nB"}});
    assert_eq!(json_of(&message), expected);
}

#[test]
fn an_envelope_does_not_change_what_is_in_it() {
    let envelope = |inner: Message| MessageField::some(FutureProofMessage { message: MessageField::some(inner) });
    let hello = json_of(&text("hello"));
    let once = Message { view_once_message_v2: envelope(text("hello")), ..Message::default() };
    let twice = Message { ephemeral_message: envelope(once.clone()), ..Message::default() };
    let document = Message { document_with_caption_message: envelope(text("hello")), ..Message::default() };
    for message in [once, twice, document] {
        assert_eq!(json_of(&message), hello);
    }
}

#[test]
fn what_has_no_mapping_keeps_the_raw_message() {
    let poll = with!(poll_creation_message: PollCreationMessage { name: some("Lunch?") });
    let found = json_of(&poll);
    assert_eq!(found["messageType"], "unknown");
    assert_eq!(found["content"]["raw"]["pollCreationMessage"]["name"], "Lunch?");
}

#[test]
fn keys_reactions_and_protocol_messages_are_no_content() {
    let keys = with!(sender_key_distribution_message: SenderKeyDistributionMessage { group_id: some("120363@g.us") });
    let reaction = with!(reaction_message: ReactionMessage { text: some("+1") });
    let protocol = with!(protocol_message: ProtocolMessage {});
    let context =
        Message { message_context_info: MessageField::some(wa::MessageContextInfo::default()), ..Message::default() };
    for message in [keys, reaction, protocol, context, Message::default()] {
        assert_eq!(content_of(&message), None);
    }
}

#[test]
fn a_text_that_comes_with_keys_is_a_text() {
    let mut message = with!(sender_key_distribution_message: SenderKeyDistributionMessage {});
    message.conversation = some("hello");
    assert_eq!(json_of(&message), json_of(&text("hello")));
}
