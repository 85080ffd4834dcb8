//! A text that a user sends reaches the contact, once, and the webhook hears of it.

use crate::expect::{assert_iso, text, webhook};
use kurir_contract::command::SILENT_AFTER;
use kurir_test_harness::{
    Process, Stack,
    stack::{KEY, SOON},
    until,
};
use serde_json::json;
use std::time::Instant;

const CONTACT: &str = "6281234567890";

#[tokio::test(flavor = "multi_thread")]
async fn a_sent_text_reaches_the_contact_and_message_sent_tells_of_it() {
    let stack = Stack::start().await;
    let (status, answer) =
        stack.api.post("/api/whatsapp/send-message", json!({"to": "+62 812-3456-7890", "message": "  Hello  "})).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["success"], &answer["message"]), (&json!(true), &json!("Message sent successfully")));
    let id = answer["messageId"].as_str().unwrap().to_owned();

    let read = stack.simulator.contact_receives(CONTACT, "the text", SOON, |m| m["id"] == json!(id)).await;
    assert_eq!((&read["type"], &read["text"]), (&json!("text"), &json!("Hello")), "trimmed");

    let request = webhook(&stack.receiver, "message.sent", |body| body["event"] == "message.sent").await;
    let data = &request.json()["data"];
    assert_eq!(data["messageId"], json!(id));
    assert_eq!(data["to"], json!(format!("{CONTACT}@s.whatsapp.net")));
    assert_eq!(data["messageType"], "text");
    assert_eq!(data["content"], json!({"text": "Hello"}));
    assert_iso(&data["timestamp"]);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_quotes_and_a_group_is_a_recipient() {
    let stack = Stack::start().await;
    let group = stack.simulator.post("/groups", json!({"subject": "Team", "participants": [CONTACT]})).await;
    let sent = json!({"to": group["id"], "message": "to the group"});
    let (status, answer) = stack.api.post("/api/whatsapp/send-message", sent).await;
    assert_eq!(status, 200, "{answer}");
    stack.simulator.contact_receives(CONTACT, "the group's text", SOON, |m| m["text"] == "to the group").await;

    let asked = stack.simulator.contact_writes(CONTACT, "a question").await;
    webhook(&stack.receiver, "the question", |body| text(body) == "a question").await;
    for quoted in [json!(asked), json!({"key": {"id": asked}})] {
        let sent = json!({"to": CONTACT, "message": "an answer", "options": {"quoted": quoted}});
        let (status, answer) = stack.api.post("/api/whatsapp/send-message", sent).await;
        assert_eq!(status, 200, "{answer}");
        let id = answer["messageId"].clone();
        let read = stack.simulator.contact_receives(CONTACT, "the answer", SOON, |m| m["id"] == id).await;
        assert_eq!(read["quoted"], json!(asked), "{read}");
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swallowed_ack_is_tried_again_under_one_message_id() {
    // A try waits 30 s for its ack; the test need not.
    let stack = Stack::plan().gateway("WHATSAPP_SEND_TIMEOUT", "3s").start().await;
    stack.simulator.post("/faults", json!({"kind": "swallow-ack", "times": 1})).await;
    let (status, answer) =
        stack.api.post("/api/whatsapp/send-message", json!({"to": CONTACT, "message": "twice, yet once"})).await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["messageId"].clone();
    let read = until("the repeat to arrive", SOON, || async {
        let received = stack.simulator.received_by(CONTACT).await;
        let fits = received.iter().find(|m| m["id"] == id && m["copies"] == 2).cloned();
        fits.ok_or(received)
    })
    .await;
    assert_eq!(read["text"], "twice, yet once");
    assert_eq!(stack.simulator.received_by(CONTACT).await.len(), 1, "one message for the contact's app");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nack_is_an_answer_and_an_error_occurred() {
    let stack = Stack::start().await;
    stack.simulator.post("/faults", json!({"kind": "nack", "code": 479, "times": 3})).await;
    let (status, answer) =
        stack.api.post("/api/whatsapp/send-message", json!({"to": CONTACT, "message": "refused"})).await;
    assert_eq!(status, 502, "{answer}");
    assert_eq!(answer["success"], false);
    assert_eq!(answer["message"], "WhatsApp refused the message");
    assert!(answer["code"] == "refused_by_whatsapp" && answer["whatsappCode"] == 479, "{answer}");

    let body = webhook(&stack.receiver, "error.occurred", |body| body["event"] == "error.occurred").await.json();
    assert_eq!(body["data"]["errorType"], "message.send.failed");
    assert_eq!(body["data"]["context"]["jid"], json!(format!("{CONTACT}@s.whatsapp.net")));
    assert_eq!(body["data"]["context"]["attempts"], 3);
    assert_iso(&body["data"]["timestamp"]);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_not_on_whatsapp_is_refused() {
    let stack = Stack::start().await;
    stack.simulator.patch("/contacts/6289999999999", json!({"registered": false})).await;
    let (status, answer) =
        stack.api.post("/api/whatsapp/send-message", json!({"to": "6289999999999", "message": "hello?"})).await;
    assert_eq!((status, &answer["success"]), (404, &json!(false)), "{answer}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_pairing_a_send_is_refused_at_once() {
    let stack = Stack::plan().unpaired().start().await;
    let (status, answer) = stack.api.post("/api/whatsapp/send-message", json!({"to": CONTACT, "message": "x"})).await;
    assert_eq!((status, &answer["message"]), (503, &json!("WhatsApp is not connected")));
    stack.finish().await;
}

/// Longer than a gateway may be silent. The gateway says meanwhile that it is at work.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_acknowledgement_is_waited_for() {
    let stack = Stack::start().await;
    let slow = json!({"kind": "delay", "delayMs": 20_000, "times": 1, "match": {"direction": "fromClient", "contact": CONTACT, "stanza": "message"}});
    stack.simulator.post("/faults", slow).await;
    let begun = Instant::now();
    let (status, answer) =
        stack.api.post("/api/whatsapp/send-message", json!({"to": CONTACT, "message": "slow"})).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
    assert!(begun.elapsed() > SILENT_AFTER, "the test waits for nothing");
    stack.finish().await;
}

/// A message goes out and is never acknowledged, the gateway meets its fate, and the caller hears of it within seconds: NATS
/// does not tell it.
async fn the_caller_hears_of(fate: impl AsyncFnOnce(&mut Process)) -> Stack {
    let mut stack = Stack::start().await;
    let lost = json!({"kind": "lose", "times": 1, "match": {"direction": "fromClient", "contact": CONTACT, "stanza": "message"}});
    stack.simulator.post("/faults", lost).await;
    let begun = Instant::now();
    let send = stack.api.request(reqwest::Method::POST, "/api/whatsapp/send-message").header("X-API-Key", KEY);
    let asked = tokio::spawn(send.json(&json!({"to": CONTACT, "message": "begun"})).send());
    until("the message to go out", SOON, || async { stack.simulator.get("/faults").await[0]["met"] == 1 }).await;
    fate(&mut stack.gateway).await;
    let answer = asked.await;
    assert!(matches!(&answer, Ok(Ok(answer)) if answer.status() == 504), "{answer:?}");
    assert!(begun.elapsed() < SILENT_AFTER * 2, "{:?}", begun.elapsed());
    stack
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whose_gateway_is_killed_hears_of_it_within_seconds() {
    the_caller_hears_of(async |gateway| gateway.kill_9().await).await.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whose_gateway_is_frozen_hears_of_it_within_seconds() {
    let mut stack = the_caller_hears_of(async |gateway| gateway.pause()).await;
    stack.gateway.resume();
    stack.finish().await;
}
