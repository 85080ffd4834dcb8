//! A message that a contact wrote arrives at the webhook, field by field as the contract says.

use crate::expect::{assert_iso, text, webhook};
use kurir_test_harness::{Request, Stack};
use serde_json::{Value, json};

const CONTACT: &str = "6281234567890";

async fn message(stack: &Stack, wanted: &str) -> Request {
    webhook(&stack.receiver, wanted, |body| body["event"] == "message.received" && text(body) == wanted).await
}

#[track_caller]
fn assert_envelope(body: &Value) {
    let keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 3, "exactly event, timestamp and data: {keys:?}");
    assert_iso(&body["timestamp"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_is_the_contracts_body_by_number_and_by_lid() {
    let stack = Stack::start().await;
    for (addressing, wanted) in [("pn", "by number"), ("lid", "by LID")] {
        let sent = json!({"text": wanted, "addressing": addressing, "pushName": "Budi"});
        let id = stack.simulator.contact_sends(CONTACT, sent).await;
        let request = message(&stack, wanted).await;

        assert_eq!(request.method, "POST");
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("user-agent"), "WhatsApp-API-Webhook/1.0.0");
        let body = request.json();
        assert_envelope(&body);
        let data = &body["data"];
        let chat = format!("{CONTACT}@s.whatsapp.net");
        assert_eq!(data["messageId"], json!(id));
        assert_eq!(data["from"], json!(chat), "{addressing}: one person is one address");
        assert_eq!(data["messageType"], "text");
        assert_eq!(data["content"], json!({"text": wanted}));
        assert_eq!(data["sender"], json!({"jid": chat, "pushName": "Budi"}));
        assert_eq!(data["participant"], json!(null));
        let sent_at = data["timestamp"].as_i64().unwrap();
        assert!(sent_at > 1_700_000_000_000, "milliseconds: {sent_at}");
        assert_eq!(data["eventId"].as_str().unwrap(), request.header("webhook-id"));
    }
    stack.settled().await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_message_names_the_group_and_who_wrote() {
    let stack = Stack::start().await;
    let group = stack.simulator.post("/groups", json!({"subject": "Team", "participants": [CONTACT]})).await;
    let group = group["id"].as_str().unwrap().to_owned();
    stack.simulator.contact_sends(CONTACT, json!({"text": "to all", "group": group, "pushName": "Budi"})).await;
    let body = message(&stack, "to all").await.json();
    assert_envelope(&body);
    assert_eq!(body["data"]["from"], json!(group));
    assert_eq!(body["data"]["sender"], json!({"jid": group, "pushName": "Budi"}));
    assert_eq!(body["data"]["participant"], json!(format!("{CONTACT}@s.whatsapp.net")));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_without_a_name_is_unknown() {
    let stack = Stack::start().await;
    stack.simulator.contact_sends(CONTACT, json!({"text": "who am I", "pushName": ""})).await;
    assert_eq!(message(&stack, "who am I").await.json()["data"]["sender"]["pushName"], "Unknown");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contact_sees_that_its_message_was_delivered_only_after_it_was_stored() {
    let mut stack = Stack::start().await;
    stack.nats.pause();
    let id = stack.simulator.contact_writes(CONTACT, "held").await;
    // Two seconds in which a gateway that acknowledges first would do so.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let acknowledged = stack.simulator.messages("acknowledged").await;
    assert!(!acknowledged.iter().any(|m| m["id"] == json!(id)), "acknowledged before it was stored");
    stack.nats.resume();
    message(&stack, "held").await;
    stack.finish().await;
}
