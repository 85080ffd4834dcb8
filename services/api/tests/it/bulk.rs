//! `send-bulk`, as the contract's section "WhatsApp routes" has it.

use crate::{
    api::{Api, KEY, SOON, answer},
    stand_in::{Gateway, connected},
};
use kurir_contract::command::Command;
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const BULK: &str = "/api/whatsapp/send-bulk";
const BUDI: &str = "6281234567890";
const ANI: &str = "6281234567891";

/// Sends all but the text `bad`.
fn replies(command: Command, arguments: &Value) -> Option<Value> {
    Some(match command {
        Command::Status => connected(),
        _ if arguments["text"] == "bad" => {
            json!({"error": {"code": "not_on_whatsapp", "message": "nobody is not on WhatsApp"}})
        }
        _ => json!({"ok": {"messageId": "3EB0AA", "to": arguments["to"], "attempt": 1}}),
    })
}

fn to(number: &str, text: &str) -> Value {
    json!({"to": number, "message": text})
}

#[tokio::test]
async fn each_message_has_its_result_and_is_counted() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let quoting = json!({"to": format!("+{BUDI}"), "message": " c ", "options": {"quoted": "3EB0FF"}});
    let begun = Instant::now();
    let answer = api.post(BULK, &json!({"messages": [to(BUDI, "a"), to(ANI, "bad"), quoting]})).await;
    let took = begun.elapsed();
    let jid = format!("{BUDI}@s.whatsapp.net");
    let expected = json!({
        "success": true,
        "message": "Bulk messages processed",
        "summary": {"total": 3, "success": 2, "failed": 1},
        "results": [
            {"to": jid, "success": true, "messageId": "3EB0AA"},
            {"to": ANI, "success": false, "error": "nobody is not on WhatsApp"},
            {"to": jid, "success": true, "messageId": "3EB0AA"},
        ],
    });
    assert_eq!(answer, (200, expected));
    assert!(took >= Duration::from_secs(2), "a second lies between two sends; it took {took:?}");
    let texts: Vec<_> =
        gateway.commands().into_iter().map(|(_, said)| (said["text"].clone(), said["quoted"].clone())).collect();
    assert_eq!(texts, [(json!("a"), Value::Null), (json!("bad"), Value::Null), (json!("c"), json!("3EB0FF"))]);
    let (_, metrics) = api.get("/api/metrics").await;
    let counted = ["bulkRequests", "bulkMessagesSent", "bulkMessagesFailed", "messagesSent", "messagesFailed"];
    assert_eq!(counted.map(|name| metrics["data"][name].as_u64()), [1, 2, 1, 0, 0].map(Some));
}

#[tokio::test]
async fn a_session_is_named_in_the_path() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let sales = Gateway::start(&nats, "sales", replies).await;
    let body = json!({"messages": [to(BUDI, "a")]});
    let (status, answer) = api.post("/api/sessions/sales/whatsapp/send-bulk", &body).await;
    assert_eq!((status, &answer["summary"]["success"]), (200, &json!(1)), "{answer}");
    assert_eq!(sales.commands().len(), 1);
}

#[tokio::test]
async fn bad_input_refuses_the_whole_request() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    let array = "Messages must be an array";
    let missing = |index: usize| format!("Message at index {index} is missing required fields: to, message");
    let many: Vec<_> = (0..101).map(|_| to(BUDI, "a")).collect();
    for (messages, expected) in [
        (Value::Null, array.to_owned()),
        (json!("a"), array.to_owned()),
        (json!({"0": to(BUDI, "a")}), array.to_owned()),
        (json!([]), "Messages array cannot be empty".to_owned()),
        (json!(many), "Too many messages. Maximum 100 messages per bulk request".to_owned()),
        (json!(["a"]), missing(0)),
        (json!([to(BUDI, "a"), {"to": BUDI}]), missing(1)),
        (json!([to(BUDI, "a"), to(BUDI, "")]), missing(1)),
        (json!([to(BUDI, "a"), {"message": "a"}]), missing(1)),
        (json!([to(BUDI, "a"), to("12", "a")]), "Invalid phone number format".to_owned()),
        (json!([to(BUDI, "a"), to(BUDI, "  ")]), "Message is required and must be a string".to_owned()),
        (json!([to(BUDI, &"x".repeat(4097))]), "Message is too long (max 4096 characters)".to_owned()),
    ] {
        let (status, answer) = api.post(BULK, &json!({"messages": messages})).await;
        assert_eq!((status, &answer["success"], &answer["message"]), (400, &json!(false), &json!(expected)));
        assert!(answer["code"].is_string(), "{answer}");
    }
    assert_eq!(api.post(BULK, &json!({})).await.1["message"], array);
    assert_eq!(gateway.asked(), 0);
}

#[tokio::test]
async fn what_nobody_could_send_is_an_error_at_once() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let body = json!({"messages": [to(BUDI, "a"), to(ANI, "b")]});
    let (status, answer) = api.post(BULK, &body).await;
    assert_eq!((status, &answer["message"]), (503, &json!("WhatsApp is not connected")));
    let gateway = Gateway::start(&nats, "default", |command, _| {
        let refusal = json!({"error": {"code": "not_connected", "message": "WhatsApp is not connected"}});
        Some(if command == Command::Status { connected() } else { refusal })
    })
    .await;
    let (status, answer) = api.post(BULK, &body).await;
    assert_eq!((status, &answer["code"]), (503, &json!("not_connected")));
    assert_eq!(gateway.commands().len(), 1);
}

#[tokio::test]
async fn a_shutdown_begins_no_further_send_and_says_so() {
    let nats = Nats::start().await;
    let mut api = Api::start(&nats, &[]).await;
    let gateway = Gateway::slow(&nats, "default", Duration::from_secs(1), replies).await;
    let messages: Vec<_> = (0..60).map(|_| to(BUDI, "a")).collect();
    let request = api.request(Method::POST, BULK).header("X-API-Key", KEY).json(&json!({"messages": messages}));
    let call = tokio::spawn(answer(request));
    gateway.wait_for_commands(1).await;
    assert!(api.process.terminate(SOON).await.success());
    let (status, answer) = call.await.expect("an answer");
    let sent = gateway.commands().len();
    assert_eq!((status, &answer["summary"]["total"]), (200, &json!(60)), "{answer}");
    assert_eq!(answer["summary"]["success"], sent, "what was begun was sent: {answer}");
    assert_eq!(answer["results"][59]["error"], "The API is being stopped; this message was not sent");
}
