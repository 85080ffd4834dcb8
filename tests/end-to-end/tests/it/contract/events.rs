//! Section "Events": the bodies that receivers were written for.

use crate::expect::webhook;
use kurir_test_harness::{
    Stack,
    json_match::{assert_json_matches, match_json},
    stack::SOON,
};
use serde_json::{Value, json};

const CONTACT: &str = "6281234567890";
const JID: &str = "6281234567890@s.whatsapp.net";
/// Of a file that was downloaded; `base64` says what it is.
const BYTES: &str = "aGVsbG8=";

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_message_has_its_type_and_content() {
    let stack = Stack::start().await;
    let media = |kind: &str, rest: Value| {
        let mut message = json!({"type": kind, "base64": BYTES});
        message.as_object_mut().unwrap().extend(rest.as_object().cloned().unwrap_or_default());
        message
    };
    let downloaded = |rest: Value| {
        let mut content = json!({"mediaDownloaded": true, "filename": "<text>", "filepath": "<text>", "fileSize": 5,
            "mimeType": "<text>", "downloadUrl": "<text>", "base64": BYTES});
        content.as_object_mut().unwrap().extend(rest.as_object().cloned().unwrap_or_default());
        content
    };
    for (said, kind, content) in [
        (json!({"text": "hello"}), "text", json!({"text": "hello"})),
        (
            media("image", json!({"mimetype": "image/png", "caption": "a beach"})),
            "image",
            downloaded(json!({"caption": "a beach", "mimetype": "image/png"})),
        ),
        (
            media("video", json!({"mimetype": "video/mp4"})),
            "video",
            downloaded(json!({"caption": "", "mimetype": "video/mp4"})),
        ),
        (media("audio", json!({"mimetype": "audio/ogg"})), "audio", downloaded(json!({"mimetype": "audio/ogg"}))),
        (
            media("document", json!({"mimetype": "application/pdf", "fileName": "bill.pdf"})),
            "document",
            downloaded(json!({"fileName": "bill.pdf", "mimetype": "application/pdf"})),
        ),
        (media("sticker", json!({"mimetype": "image/webp"})), "sticker", downloaded(json!({"mimetype": "image/webp"}))),
        (
            json!({"type": "contact", "displayName": "Sari", "vcard": "BEGIN:VCARD\nEND:VCARD"}),
            "contact",
            json!({"displayName": "Sari", "vcard": "BEGIN:VCARD\nEND:VCARD"}),
        ),
        (
            json!({"type": "location", "latitude": -6.2, "longitude": 106.8}),
            "location",
            json!({"latitude": -6.2, "longitude": 106.8, "name": "", "address": ""}),
        ),
    ] {
        let id = stack.simulator.contact_sends(CONTACT, said).await;
        let request = webhook(&stack.receiver, kind, |body| body["data"]["messageId"] == json!(id)).await;
        let body = request.json();
        let data = json!({"messageId": id, "from": JID, "timestamp": "<milliseconds>", "messageType": kind,
            "content": content, "sender": {"jid": JID, "pushName": "<text>"}});
        assert_json_matches(&json!({"event": "message.received", "timestamp": "<ISO>", "data": data}), &body, kind);
        assert_eq!(body.as_object().unwrap().len(), 3, "exactly three fields: {body}");
        let content = &body["data"]["content"];
        if let Some(link) = content["downloadUrl"].as_str() {
            let file = content["filename"].as_str().unwrap();
            assert_eq!(
                (link, content["filepath"].as_str().unwrap()),
                (&*format!("/media/{file}"), &*format!("media/{file}"))
            );
            assert!(file.starts_with(&format!("{kind}_{id}_")), "{file}");
            let answer = stack.api.request(reqwest::Method::GET, link).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), &*answer.bytes().await.unwrap()), (200, &b"hello"[..]), "{link}");
        }
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_and_what_becomes_of_the_session_is_told() {
    let stack = Stack::start().await;
    let sent = json!({"to": CONTACT, "message": "hello"});
    let (_, answer) = stack.api.post("/api/whatsapp/send-message", sent.clone()).await;
    stack.simulator.post("/faults", json!({"kind": "nack", "code": 479, "times": 3})).await;
    stack.api.post("/api/whatsapp/send-message", sent).await;
    for (event, data) in [
        (
            "message.sent",
            json!({"messageId": answer["messageId"], "to": JID, "messageType": "text", "content": {"text": "hello"}, "timestamp": "<ISO>"}),
        ),
        ("connection.status", json!({"isConnected": true, "qrCode": null, "timestamp": "<ISO>"})),
        ("connection.status", json!({"isConnected": false, "qrCode": "<text>", "timestamp": "<ISO>"})),
        (
            "error.occurred",
            json!({"errorType": "message.send.failed", "errorMessage": "<text>", "context": {"jid": JID, "attempts": 3}, "timestamp": "<ISO>"}),
        ),
    ] {
        let expected = json!({"event": event, "timestamp": "<ISO>", "data": data});
        webhook(&stack.receiver, event, |body| match_json(&expected, body).is_ok()).await;
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_not_message_received() {
    let stack = Stack::start().await;
    let id = stack.simulator.contact_writes(CONTACT, "the first").await;
    stack.simulator.contact_sends(CONTACT, json!({"type": "reaction", "target": id, "text": "👍"})).await;
    stack.simulator.contact_sends(CONTACT, json!({"text": "a status", "status": true})).await;
    let own = stack.simulator.get("/accounts").await[0]["number"].as_str().unwrap().to_owned();
    stack.simulator.contact_sends(&own, json!({"text": "from the phone", "to": CONTACT})).await;
    stack.simulator.contact_writes(CONTACT, "the last").await;
    let last = |body: &Value| body["data"]["content"]["text"] == "the last";
    let requests =
        stack.receiver.wait_until("the last message", SOON, |all| all.iter().any(|one| last(&one.json()))).await;
    let received = crate::expect::bodies(&requests, "message.received");
    let texts: Vec<_> = received.iter().map(crate::expect::text).collect();
    assert_eq!(texts, ["the first", "the last"]);
    stack.finish().await;
}
