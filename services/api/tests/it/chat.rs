//! What is done in a chat beside sending content, as it reaches the gateway, and what is refused before.

use crate::{
    api::{Api, answer, store_messages},
    stand_in::{Gateway, connected},
};
use kurir_contract::command::Command;
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};

const BUDI: &str = "6281234567890";
const BUDI_JID: &str = "6281234567890@s.whatsapp.net";
const GROUP: &str = "120363000000000001@g.us";

fn replies(command: Command, arguments: &Value) -> Option<Value> {
    Some(match command {
        Command::Status => connected(),
        send if send.is_send() => json!({"ok": {"messageId": "3EB0AA", "to": arguments["to"], "attempt": 1}}),
        _ => json!({"ok": {}}),
    })
}

#[tokio::test]
async fn each_command_is_handed_over_as_the_contract_reads_it() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    store_messages(&nats, &["3EB0"]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let data = json!({"messageType": "text", "content": {"text": "hi"}, "forwardingScore": 3, "from": BUDI_JID});
    let forwarded = json!({"messageType": "text", "content": {"text": "hi"}});
    let mut expected = Vec::new();
    for (route, body, command, arguments) in [
        (
            "send-poll",
            json!({"to": BUDI, "name": " Lunch? ", "options": ["Rice", " Soup "]}),
            Command::SendPoll,
            json!({"to": BUDI_JID, "name": "Lunch?", "options": ["Rice", "Soup"], "selectable": 1}),
        ),
        (
            "send-poll",
            json!({"to": GROUP, "name": "Lunch?", "options": ["Rice", "Soup"], "selectable": 0}),
            Command::SendPoll,
            json!({"to": GROUP, "name": "Lunch?", "options": ["Rice", "Soup"], "selectable": 0}),
        ),
        (
            "send-reaction",
            json!({"to": GROUP, "messageId": "3EB0", "emoji": "👍", "participant": BUDI}),
            Command::SendReaction,
            json!({"to": GROUP, "messageId": "3EB0", "emoji": "👍", "fromMe": false, "participant": BUDI_JID}),
        ),
        (
            "send-reaction",
            json!({"to": GROUP, "messageId": "3EB0", "emoji": "", "fromMe": true}),
            Command::SendReaction,
            json!({"to": GROUP, "messageId": "3EB0", "emoji": "", "fromMe": true, "participant": null}),
        ),
        (
            "edit-message",
            json!({"to": BUDI, "messageId": "3EB0", "message": " better "}),
            Command::SendEdit,
            json!({"to": BUDI_JID, "messageId": "3EB0", "text": "better"}),
        ),
        (
            "revoke-message",
            json!({"to": BUDI, "messageId": "3EB0"}),
            Command::SendRevoke,
            json!({"to": BUDI_JID, "messageId": "3EB0", "participant": null}),
        ),
        (
            "forward-message",
            json!({"to": BUDI, "message": data}),
            Command::SendForward,
            json!({"to": BUDI_JID, "message": forwarded, "forwardingScore": 3}),
        ),
        (
            "send-message",
            json!({"to": GROUP, "message": "@6281234567890", "options": {"mentions": [BUDI], "quoted": "3EB0", "quotedParticipant": BUDI}}),
            Command::SendText,
            json!({"to": GROUP, "text": "@6281234567890", "quoted": "3EB0", "quotedParticipant": BUDI_JID, "mentions": [BUDI_JID]}),
        ),
        (
            "mark-read",
            json!({"to": BUDI, "messageIds": ["1", "2"]}),
            Command::MarkRead,
            json!({"to": BUDI_JID, "messageIds": ["1", "2"], "participant": null}),
        ),
        (
            "typing",
            json!({"to": BUDI, "state": "recording"}),
            Command::ShowTyping,
            json!({"to": BUDI_JID, "state": "recording"}),
        ),
        ("presence", json!({"state": "available"}), Command::SetPresence, json!({"state": "available"})),
        ("subscribe-presence", json!({"to": BUDI}), Command::SubscribePresence, json!({"to": BUDI_JID})),
    ] {
        let (status, answer) = api.post(&format!("/api/whatsapp/{route}"), &body).await;
        assert_eq!((status, &answer["success"]), (200, &json!(true)), "{body}: {answer}");
        assert_eq!(answer["messageId"].is_string(), command.is_send(), "{answer}");
        expected.push((command, arguments));
    }
    assert_eq!(gateway.commands(), expected);
    let (status, answer) = api.post("/api/sessions/sales/whatsapp/presence", &json!({"state": "available"})).await;
    assert_eq!((status, &answer["code"]), (404, &json!("session_not_found")), "the same for any session");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_what_is_right() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let with = |field: &str, value: Value| {
        let mut body = json!({
            "to": BUDI, "name": "Lunch?", "options": ["Rice", "Soup"], "messageId": "3EB0", "messageIds": ["3EB0"], "emoji": "👍",
            "message": "x", "state": "available",
        });
        body[field] = value;
        body
    };
    let options = "options must be 2 to 12 different strings of 1 to 100 characters";
    let selectable = "selectable must be 0 (any number of options) or at most the number of options";
    let recipient = "Phone number is required";
    let id = "messageId is required: the id of the message, as answers and events of any format name it";
    let ids = "messageIds must be a list of 1 to 100 message ids";
    let emoji = "emoji must be one emoji, or \"\" to take the reaction back";
    let (writer, writers) =
        ("participant is required in a group: who wrote the message", "participant must be the number of a person");
    let forward = "message must be the data of a message.received or message.sent whose messageType is text, location, \
        contact, image, video, audio, document or sticker";
    let no_file = "The file of this message was not downloaded, so it cannot be forwarded (mediaDownloaded is not true); \
        if media.downloaded came later, its content belongs into the message";
    let image = |more: Value| {
        let mut data = json!({"messageType": "image", "content": {"caption": "", "mimetype": "image/png"}});
        for (name, value) in more.as_object().expect("an object") {
            data["content"][name] = value.clone();
        }
        data
    };
    let once =
        json!({"messageType": "image", "viewOnce": true, "content": {"mimetype": "image/png", "filename": "a.png"}});
    let mentions = "options.mentions must be a list of at most 1024 numbers; the text names each as @ and its digits";
    let many: Vec<String> = (0..13).map(|option| option.to_string()).collect();
    for (route, body, code, message) in [
        ("send-poll", with("to", json!("")), "missing_recipient", recipient),
        (
            "send-poll",
            with("name", json!(" ")),
            "invalid_poll",
            "name is required: the question, a string of at most 255 characters",
        ),
        ("send-poll", with("options", json!([])), "invalid_poll", options),
        ("send-poll", with("options", json!(["Rice"])), "invalid_poll", options),
        ("send-poll", with("options", json!(["Rice", "Rice "])), "invalid_poll", options),
        ("send-poll", with("options", json!(["Rice", ""])), "invalid_poll", options),
        ("send-poll", with("options", json!(["Rice", 7])), "invalid_poll", options),
        ("send-poll", with("options", json!(["Rice", "x".repeat(101)])), "invalid_poll", options),
        ("send-poll", with("options", json!(many)), "invalid_poll", options),
        ("send-poll", with("selectable", json!(3)), "invalid_poll", selectable),
        ("send-poll", with("sendAt", json!("2020-01-01T00:00:00Z")), "invalid_send_at", "sendAt is in the past"),
        ("send-reaction", with("messageId", json!("")), "invalid_message_id", id),
        ("send-reaction", with("emoji", Value::Null), "invalid_reaction", emoji),
        ("send-reaction", with("emoji", json!("x".repeat(33))), "invalid_reaction", emoji),
        (
            "send-reaction",
            with("fromMe", json!("yes")),
            "invalid_reaction",
            "fromMe must be true or false: whether this account wrote the message",
        ),
        ("send-reaction", with("participant", json!("me")), "invalid_participant", writers),
        ("send-reaction", with("participant", json!(GROUP)), "invalid_participant", writers),
        ("send-reaction", with("to", json!(GROUP)), "invalid_participant", writer),
        ("edit-message", with("messageId", json!(7)), "invalid_message_id", id),
        ("edit-message", with("message", json!(" ")), "missing_message", "Message is required and must be a string"),
        (
            "edit-message",
            with("message", json!("x".repeat(4097))),
            "message_too_long",
            "Message is too long (max 4096 characters)",
        ),
        ("revoke-message", with("messageId", json!("x".repeat(129))), "invalid_message_id", id),
        (
            "revoke-message",
            with("participant", json!(BUDI)),
            "invalid_participant",
            "participant is for groups, whose administrators may delete what another wrote",
        ),
        ("forward-message", with("message", json!("x")), "invalid_forward", forward),
        (
            "forward-message",
            with("message", json!({"messageType": "poll", "content": {"name": "Lunch?"}})),
            "invalid_forward",
            forward,
        ),
        (
            "forward-message",
            with("message", image(json!({"mediaDownloaded": false, "error": "gone"}))),
            "invalid_forward",
            no_file,
        ),
        ("forward-message", with("message", image(json!({"filename": "../a"}))), "invalid_forward", no_file),
        ("forward-message", with("message", image(json!({"filename": 7}))), "invalid_forward", forward),
        (
            "forward-message",
            with("message", once),
            "invalid_forward",
            "A message that is shown once cannot be forwarded",
        ),
        (
            "forward-message",
            with("message", json!({"messageType": "text", "content": {"text": ""}})),
            "missing_message",
            "Message is required and must be a string",
        ),
        ("send-message", with("options", json!({"mentions": BUDI})), "invalid_mentions", mentions),
        (
            "send-message",
            with("options", json!({"mentions": ["all"]})),
            "invalid_mentions",
            "options.mentions of all are for groups",
        ),
        (
            "send-message",
            with("options", json!({"quotedParticipant": "he"})),
            "invalid_quoted",
            "options.quotedParticipant must be the number of who wrote the quoted message",
        ),
        ("mark-read", with("messageIds", json!([])), "invalid_message_id", ids),
        ("mark-read", with("messageIds", json!(vec!["x"; 101])), "invalid_message_id", ids),
        ("mark-read", with("messageIds", json!("3EB0")), "invalid_message_id", ids),
        ("mark-read", with("to", json!(GROUP)), "invalid_participant", writer),
        ("typing", with("state", json!("available")), "invalid_state", "state must be composing, recording or paused"),
        ("presence", with("state", Value::Null), "invalid_state", "state must be available or unavailable"),
        ("subscribe-presence", with("to", json!(GROUP)), "invalid_recipient", "Invalid phone number format"),
    ] {
        let body = only_known(&api, route, body).await;
        let (status, said) = api.post(&format!("/api/whatsapp/{route}"), &body).await;
        assert_eq!((status, &said["code"], &said["message"]), (400, &json!(code), &json!(message)), "{route} {body}");
    }
    assert_eq!(gateway.asked(), 0);
}

/// The body without the fields that the route does not know, which the others of the table need.
async fn only_known(api: &Api, route: &str, mut body: Value) -> Value {
    let (_, document) = answer(api.request(Method::GET, "/openapi.json")).await;
    let content = &document["paths"][format!("/api/whatsapp/{route}")]["post"]["requestBody"]["content"];
    let schema = &content["application/json"]["schema"];
    let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let schema = reference.and_then(|reference| document.pointer(reference)).unwrap_or(schema);
    if let (Some(fields), Some(known)) = (body.as_object_mut(), schema["properties"].as_object()) {
        fields.retain(|name, _| known.contains_key(name));
    }
    body
}
