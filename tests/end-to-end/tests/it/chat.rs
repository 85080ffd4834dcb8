//! What a user does in a chat through the API, alone with somebody and in a group: the others see it, the webhook hears.

use crate::expect::webhook;
use kurir_test_harness::{Stack, http, stack::SOON, until};
use serde_json::{Value, json};

const CONTACT: &str = "6281234567890";
const CONTACT_JID: &str = "6281234567890@s.whatsapp.net";
const OTHER: &str = "6281234567891";

/// A stack, and the chats in which everything is tried: with one contact, and in a group.
async fn stage() -> (Stack, [String; 2]) {
    let stack = Stack::start().await;
    let group = stack.simulator.post("/groups", json!({"subject": "Team", "participants": [CONTACT, OTHER]})).await;
    let group = group["id"].as_str().unwrap().to_owned();
    (stack, [CONTACT.to_owned(), group])
}

/// Sends, and gives what the contact received: what it holds is looked at by the test.
async fn sends(stack: &Stack, route: &str, body: Value) -> Value {
    let (status, answer) = stack.api.post(&format!("/api/whatsapp/{route}"), body).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)), "{route}: {answer}");
    let id = answer["messageId"].clone();
    stack.simulator.contact_receives(CONTACT, route, SOON, |message| message["id"] == id).await
}

/// The `data` of the webhook that tells of a send.
async fn told(stack: &Stack, event: &str, id: &str, of: &Value) -> Value {
    let fits = |body: &Value| body["event"] == event && body["data"][id] == of["id"];
    let data = webhook(&stack.receiver, event, fits).await.json()["data"].take();
    assert_eq!(data["fromMe"], true, "{data}");
    data
}

/// The contact writes into a chat, and the webhook has it.
async fn written(stack: &Stack, chat: &str, text: &str) -> String {
    let group = chat.ends_with("@g.us").then_some(chat);
    let id = stack.simulator.contact_sends(CONTACT, json!({"text": text, "group": group})).await;
    webhook(&stack.receiver, text, |body| body["data"]["messageId"] == id.as_str()).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_voted_on() {
    let (stack, chats) = stage().await;
    for chat in &chats {
        let poll = json!({"to": chat, "name": "Lunch?", "options": ["Rice", "Soup", "Salad"], "selectable": 0});
        let poll = sends(&stack, "send-poll", poll).await;
        assert_eq!((&poll["options"], &poll["selectable"]), (&json!(["Rice", "Soup", "Salad"]), &json!(0)), "{poll}");
        let data = told(&stack, "message.sent", "messageId", &poll).await;
        let content = json!({"name": "Lunch?", "options": ["Rice", "Soup", "Salad"], "selectable": 0});
        assert_eq!((&data["messageType"], &data["content"]), (&json!("poll"), &content));
        let group = chat.ends_with("@g.us").then_some(chat);
        let vote = json!({"type": "vote", "target": poll["id"], "options": ["Rice", "Salad"], "group": group});
        let vote = stack.simulator.contact_sends(CONTACT, vote).await;
        let data = webhook(&stack.receiver, "the vote", |body| body["data"]["voteId"] == vote.as_str()).await;
        let data = data.json()["data"].take();
        assert_eq!((&data["messageId"], &data["selectedOptions"]), (&poll["id"], &json!(["Rice", "Salad"])));
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_comes_and_goes() {
    let (stack, chats) = stage().await;
    for chat in &chats {
        let target = written(&stack, chat, &format!("in {chat}")).await;
        for emoji in ["❤️", ""] {
            let body = json!({"to": chat, "messageId": target, "emoji": emoji, "participant": CONTACT});
            let seen = sends(&stack, "send-reaction", body).await;
            assert_eq!(
                (&seen["type"], &seen["text"], &seen["target"]),
                (&json!("reaction"), &json!(emoji), &json!(target))
            );
            let data = told(&stack, "message.reaction", "reactionId", &seen).await;
            assert_eq!((&data["messageId"], &data["emoji"]), (&json!(target), &json!(emoji)));
            assert_eq!(data["messageAuthor"]["jid"], CONTACT_JID);
        }
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_text_is_edited_and_deleted() {
    let (stack, chats) = stage().await;
    for chat in &chats {
        let text = sends(&stack, "send-message", json!({"to": chat, "message": "tomorow"})).await;
        let edit = json!({"to": chat, "messageId": text["id"], "message": " tomorrow "});
        let seen = sends(&stack, "edit-message", edit).await;
        assert_eq!((&seen["type"], &seen["text"], &seen["target"]), (&json!("edit"), &json!("tomorrow"), &text["id"]));
        let data = told(&stack, "message.edited", "editId", &seen).await;
        assert_eq!((&data["messageId"], &data["content"]), (&text["id"], &json!({"text": "tomorrow"})));

        let seen = sends(&stack, "revoke-message", json!({"to": chat, "messageId": text["id"]})).await;
        assert_eq!((&seen["type"], &seen["target"]), (&json!("revoke"), &text["id"]));
        let data = told(&stack, "message.revoked", "revokeId", &seen).await;
        assert_eq!((&data["messageId"], &data["byAdmin"]), (&text["id"], &json!(false)));
    }
    let [_, group] = &chats;
    let rude = written(&stack, group, "rude").await;
    let revoke = json!({"to": group, "messageId": rude, "participant": CONTACT});
    let seen = sends(&stack, "revoke-message", revoke).await;
    assert_eq!((&seen["type"], &seen["target"]), (&json!("revoke"), &json!(rude)));
    let data = told(&stack, "message.revoked", "revokeId", &seen).await;
    assert_eq!((&data["byAdmin"], &data["messageAuthor"]["jid"]), (&json!(true), &json!(CONTACT_JID)));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_delivered_is_forwarded_as_it_is() {
    let (stack, chats) = stage().await;
    let id = stack.simulator.contact_sends(CONTACT, json!({"text": "read this", "forwarded": true})).await;
    let came = webhook(&stack.receiver, "the text", |body| body["data"]["messageId"] == id.as_str()).await;
    let place = json!({"type": "location", "latitude": -6.1754, "longitude": 106.8272, "name": "Monas"});
    let id = stack.simulator.contact_sends(CONTACT, place).await;
    let place = webhook(&stack.receiver, "the place", |body| body["data"]["messageId"] == id.as_str()).await;
    for chat in &chats {
        for (came, kind, score) in [(&came, "text", 2), (&place, "location", 1)] {
            let message = came.json()["data"].take();
            let seen = sends(&stack, "forward-message", json!({"to": chat, "message": message})).await;
            assert_eq!((&seen["type"], &seen["forwarded"]), (&json!(kind), &json!(score)), "{seen}");
            let data = told(&stack, "message.sent", "messageId", &seen).await;
            assert_eq!((&data["messageType"], &data["content"]), (&json!(kind), &message["content"]));
            assert_eq!((&data["forwarded"], &data["forwardingScore"]), (&json!(true), &json!(score)));
        }
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_webhook_told_of_is_forwarded_from_where_it_is_kept() {
    let (stack, chats) = stage().await;
    let file: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8).collect();
    let image = json!({"type": "image", "size": file.len(), "caption": "laut", "forwarded": true});
    let video = json!({"type": "video", "size": file.len(), "round": true});
    for (message, kind, score) in [(image, "image", 2), (video, "ptv", 1)] {
        let id = stack.simulator.contact_sends(CONTACT, message).await;
        let came = webhook(&stack.receiver, kind, |body| body["data"]["messageId"] == id.as_str()).await;
        for chat in &chats {
            let message = came.json()["data"].take();
            let seen = sends(&stack, "forward-message", json!({"to": chat, "message": message})).await;
            assert_eq!((&seen["type"], &seen["forwarded"]), (&json!(kind), &json!(score)), "{seen}");
            let id = seen["id"].as_str().unwrap();
            let url = stack.simulator.url(&format!("/contacts/{CONTACT}/messages/{id}/media"));
            let bytes = http::client().get(url).send().await.unwrap().bytes().await.unwrap();
            assert!(bytes == file, "another file arrived");
            let data = told(&stack, "message.sent", "messageId", &seen).await;
            assert_eq!((&data["forwarded"], &data["forwardingScore"]), (&json!(true), &json!(score)));
            assert_eq!(data["content"]["caption"], message["content"]["caption"]);
        }
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_mentions_people_and_answers_one_of_a_group() {
    let (stack, chats) = stage().await;
    for chat in &chats {
        let asked = written(&stack, chat, &format!("who? in {chat}")).await;
        let options = json!({"mentions": [OTHER], "quoted": asked, "quotedParticipant": CONTACT});
        let body = json!({"to": chat, "message": format!("@{OTHER}"), "options": options});
        let seen = sends(&stack, "send-message", body).await;
        let data = told(&stack, "message.sent", "messageId", &seen).await;
        let mentioned = seen["mentions"][0].as_str().unwrap();
        assert_eq!((&seen["quoted"], data["mentions"].as_array().map(Vec::len)), (&json!(asked), Some(1)), "{seen}");
        // In a group that uses LIDs people are mentioned and quoted by LID.
        if chat.ends_with("@g.us") {
            let lid = mentioned.strip_suffix("@lid").unwrap();
            assert!(
                seen["text"] == format!("@{lid}") && seen["quotedAuthor"].as_str().unwrap().ends_with("@lid"),
                "{seen}"
            );
        } else {
            assert_eq!((mentioned, &seen["quotedAuthor"]), (&*format!("{OTHER}@s.whatsapp.net"), &json!(CONTACT_JID)));
        }
        let quoted = json!({"messageType": "text", "content": {"text": format!("who? in {chat}")}});
        assert_eq!((&data["reply"]["messageId"], &data["reply"]["quoted"]), (&json!(asked), &quoted), "{data}");
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_see_what_was_read_who_types_and_who_is_there() {
    let (stack, chats) = stage().await;
    for chat in &chats {
        let ids = [
            written(&stack, chat, &format!("1 in {chat}")).await,
            written(&stack, chat, &format!("2 in {chat}")).await,
        ];
        done(&stack, "mark-read", json!({"to": chat, "messageIds": ids, "participant": CONTACT})).await;
        for id in &ids {
            shown(&stack, "receipts", |one| one["id"] == id.as_str() && one["type"] == "read").await;
        }
        let group = chat.ends_with("@g.us").then_some(chat);
        for state in ["composing", "recording", "paused"] {
            done(&stack, "typing", json!({"to": chat, "state": state})).await;
            shown(&stack, "presence", |one| one["state"] == state && one["group"] == json!(group)).await;
        }
    }
    for state in ["available", "unavailable"] {
        done(&stack, "presence", json!({"state": state})).await;
        shown(&stack, "presence", |one| one["state"] == state).await;
    }
    done(&stack, "subscribe-presence", json!({"to": CONTACT})).await;
    shown(&stack, "presence", |one| one["state"] == "subscribed").await;
    // WhatsApp says at once how it is with him.
    let body = webhook(&stack.receiver, "his presence", |body| body["event"] == "presence.updated").await.json();
    assert_eq!(
        (&body["data"]["presence"], &body["data"]["author"]["jid"]),
        (&json!("unavailable"), &json!(CONTACT_JID))
    );
    stack.finish().await;
}

async fn done(stack: &Stack, route: &str, body: Value) {
    let (status, answer) = stack.api.post(&format!("/api/whatsapp/{route}"), body).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)), "{route}: {answer}");
}

/// Waits until the contact has been shown a receipt or a presence that fits.
async fn shown(stack: &Stack, what: &str, fits: impl Fn(&Value) -> bool) {
    until(format!("the contact to be shown {what}"), SOON, || async {
        let got = stack.simulator.get(&format!("/contacts/{CONTACT}/{what}")).await;
        if got.as_array().is_some_and(|all| all.iter().any(&fits)) { Ok(()) } else { Err(got) }
    })
    .await;
}
