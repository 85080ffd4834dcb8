//! Bad input gets the contract's answer and leaves nothing behind; a broker that is away is a 503, not a hang.

use crate::expect::webhook;
use kurir_test_harness::{Stack, stack::SOON, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_bad_is_published() {
    let stack = Stack::start().await;
    stack.settled().await;
    let before = stack.events().await.len();

    let wrong_key = stack
        .api
        .request(Method::POST, "/api/whatsapp/send-message")
        .header("X-API-Key", "wrong")
        .json(&json!({"to": "6281234567890", "message": "x"}));
    assert_eq!(read(wrong_key).await, (401, json!("Invalid API key")));
    let no_json = stack
        .api
        .request(Method::POST, "/api/webhook/send?api_key=demo-key")
        .header("Content-Type", "application/json")
        .body("{no json");
    assert_eq!(read(no_json).await.0, 400);

    for (path, body, message) in [
        ("/api/whatsapp/send-message", json!({"message": "x"}), "Phone number is required"),
        ("/api/whatsapp/send-message", json!({"to": "123", "message": "x"}), "Invalid phone number format"),
        ("/api/whatsapp/send-message", json!({"to": "6281234567890"}), "Message is required and must be a string"),
        ("/api/webhook/send", json!({"data": {}}), "eventType is required"),
        ("/api/webhook/send", json!({"eventType": "a b"}), "Invalid eventType"),
        ("/api/webhook/send", json!({"eventType": "a.>"}), "Invalid eventType"),
        ("/api/webhook/test", json!({"eventType": "whatsapp.*"}), "Invalid eventType"),
    ] {
        let (status, answer) = stack.api.post(path, body.clone()).await;
        assert_eq!((status, &answer["success"], &answer["message"]), (400, &json!(false), &json!(message)), "{body}");
    }
    let (status, answer) =
        stack.api.post("/api/whatsapp/send-message", json!({"to": "081234567890", "message": "x"})).await;
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().contains("country code"), "{answer}");

    assert_eq!(stack.events().await.len(), before, "something was published");
    stack.finish().await;
}

async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json::<Value>().await.unwrap()["message"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_the_api_answers_503_within_five_seconds_and_recovers_by_itself() {
    let mut stack = Stack::start().await;
    stack.nats.stop().await;
    for (path, body) in [
        ("/api/whatsapp/send-message", json!({"to": "6281234567890", "message": "x"})),
        ("/api/webhook/send", json!({"eventType": "custom.event"})),
        ("/api/webhook/test", json!({})),
    ] {
        let asked = Instant::now();
        let (status, answer) = stack.api.post(path, body).await;
        assert_eq!((status, &answer["success"]), (503, &json!(false)), "{path}: {answer}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{path} took {:?}", asked.elapsed());
    }
    stack.nats.start_again().await;
    until("the API to recover", SOON, || async {
        let (status, answer) =
            stack.api.post("/api/whatsapp/send-message", json!({"to": "6281234567890", "message": "again"})).await;
        if status == 200 { Ok(()) } else { Err((status, answer)) }
    })
    .await;
    webhook(&stack.receiver, "message.sent", |body| body["event"] == "message.sent").await;
    stack.finish().await;
}
