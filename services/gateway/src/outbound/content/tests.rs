//! Commands come over NATS from any client, so the gateway refuses what the API would have refused.

use super::*;
use kurir_contract::command::{Command, CommandErrorCode, build_send};
use serde_json::{Value, json};
use waproto::whatsapp::Message;

const BUDI: &str = "6281230000001@s.whatsapp.net";
const GROUP: &str = "120363000000000001@g.us";

fn read(command: Command, request: Value) -> Result<MessageToSend, CommandError> {
    build_send(command, request.to_string().as_bytes())
}

#[test]
fn what_whatsapp_could_not_show_is_refused() {
    let options = |count: usize| (0..count).map(|option| option.to_string()).collect::<Vec<_>>();
    let poll = |options: Value, selectable: u32| json!({"to": BUDI, "name": "Lunch?", "options": options, "selectable": selectable});
    for (command, request) in [
        (Command::SendPoll, poll(json!(options(1)), 1)),
        (Command::SendPoll, poll(json!(options(13)), 1)),
        (Command::SendPoll, poll(json!(["a", "a"]), 1)),
        (Command::SendPoll, poll(json!(["a", ""]), 1)),
        (Command::SendPoll, poll(json!(["a", "b"]), 3)),
        (Command::SendPoll, json!({"to": BUDI, "name": "", "options": ["a", "b"], "selectable": 1})),
        (Command::SendReaction, json!({"to": GROUP, "messageId": "3EB0", "emoji": "x"})),
        (Command::SendReaction, json!({"to": BUDI, "messageId": "", "emoji": "x"})),
        (Command::SendReaction, json!({"to": BUDI, "messageId": "3EB0", "emoji": "x".repeat(33)})),
        (Command::SendEdit, json!({"to": BUDI, "messageId": "3EB0", "text": " "})),
        (Command::SendEdit, json!({"to": BUDI, "messageId": "3EB0", "text": "x".repeat(4097)})),
        (Command::SendRevoke, json!({"to": BUDI, "messageId": "3EB0", "participant": BUDI})),
        (Command::SendForward, json!({"to": BUDI, "message": {"messageType": "text", "content": {"text": ""}}})),
        (
            Command::SendForward,
            json!({"to": BUDI, "message": {"messageType": "location", "content": {"latitude": 91, "longitude": 0}}}),
        ),
        (
            Command::SendForward,
            json!({"to": BUDI, "message": {"messageType": "image", "content": {"mimetype": "image/png", "mediaDownloaded": false}}}),
        ),
        (
            Command::SendForward,
            json!({"to": BUDI, "message": {"messageType": "image", "content": {"mimetype": "video/mp4", "filename": "a.mp4"}}}),
        ),
        (Command::SendText, json!({"to": BUDI, "text": "x", "mentions": vec![BUDI; 1_025]})),
        (Command::Status, json!({})),
    ] {
        let refused = read(command, request.clone()).err().map(|refusal| refusal.code);
        assert_eq!(refused, Some(CommandErrorCode::InvalidRequest), "{command} {request}");
    }
}

#[test]
fn each_poll_has_a_secret_and_the_version_that_its_choice_needs() {
    let poll = |selectable: u32| {
        let request = json!({"to": BUDI, "name": "Lunch?", "options": ["a", "b"], "selectable": selectable});
        read(Command::SendPoll, request).map(|outgoing| outgoing.message).expect("a poll")
    };
    let secret =
        |message: &Message| message.message_context_info.as_option().and_then(|info| info.message_secret.clone());
    let (single, several) = (poll(1), poll(0));
    assert!(single.poll_creation_message_v3.is_set() && several.poll_creation_message.is_set());
    assert_eq!(secret(&single).map(|secret| secret.len()), Some(32));
    assert_ne!(secret(&single), secret(&several));
}

#[test]
fn what_was_forwarded_many_times_is_not_counted_on() {
    for (before, after) in [(0, 1), (126, 127), (127, 127), (u32::MAX, 127)] {
        let message =
            json!({"messageType": "contact", "content": {"displayName": "Ani", "vcard": "BEGIN:VCARD\nEND:VCARD"}});
        let request = json!({"to": BUDI, "message": message, "forwardingScore": before});
        let outgoing = read(Command::SendForward, request).map(|outgoing| outgoing.message).expect("a contact");
        let info = outgoing.contact_message.as_option().and_then(|card| card.context_info.as_option());
        assert_eq!(info.and_then(|info| info.forwarding_score), Some(after));
    }
}
