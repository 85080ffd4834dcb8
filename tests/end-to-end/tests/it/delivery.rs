//! What a user of the webhook sees through the API: the real outcome of `test` and `send`, retries, dead letters.

use crate::expect::webhook;
use kurir_test_harness::{Answer, Stack};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn test_and_send_answer_with_the_real_outcome() {
    let stack = Stack::start().await;
    let (status, answer) = stack.api.post("/api/webhook/test", json!({"data": {"n": 1, "test": "mine"}})).await;
    assert_eq!(status, 200);
    assert_eq!(answer["message"], "Webhook test completed");
    assert_eq!(answer["result"], json!({"success": true, "status": 200, "attempt": 1}));
    let body = webhook(&stack.receiver, "the test event", |body| body["event"] == "test").await.json();
    assert_eq!((&body["data"]["n"], &body["data"]["test"]), (&json!(1), &json!(true)));

    stack.receiver.answers_to(|request| request.json()["event"] == "custom.event", [500]);
    let (_, answer) =
        stack.api.post("/api/webhook/send", json!({"eventType": "custom.event", "data": {"a": [1]}})).await;
    assert_eq!(answer["message"], "Custom webhook sent");
    assert_eq!(answer["result"], json!({"success": true, "status": 200, "attempt": 2}));
    let body = webhook(&stack.receiver, "the custom event", |body| body["event"] == "custom.event").await.json();
    assert_eq!(body["data"], json!({"a": [1]}), "the event as given");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_receiver_fails_is_tried_on_the_contracts_schedule() {
    let stack = Stack::start().await;
    stack.settled().await;
    stack.receiver.forget();
    stack.receiver.answers([500, 500, 200]);
    stack.simulator.contact_writes("6281234567890", "try again").await;
    let requests = stack.receiver.wait_for(3, Duration::from_secs(20)).await;
    let ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let waits: Vec<f64> = requests.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
    assert!((1.9..3.5).contains(&waits[0]) && (3.9..5.5).contains(&waits[1]), "{waits:?}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_rests_in_the_dead_letters() {
    let stack = Stack::start().await;
    stack.settled().await;
    stack
        .receiver
        .answer_with(|request| Answer::status(if request.json()["event"] == "custom.doomed" { 500 } else { 200 }));
    let (_, answer) = stack.api.post("/api/webhook/send", json!({"eventType": "custom.doomed"})).await;
    assert_eq!(answer["result"], json!({"success": false, "error": "All retry attempts failed"}));
    stack.settled().await;
    let dead = stack.dead_letters().await;
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0].2["event"], &dead[0].2["attempts"]), (&json!("custom.doomed"), &json!(4)));
    let events = stack.events().await;
    let told: Vec<_> = events.iter().filter(|(_, _, body)| body["event"] == "error.occurred").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].2["data"]["errorType"], "webhook.delivery.failed");
    let delivered = stack.receiver.requests().iter().filter(|r| r.json()["event"] == "error.occurred").count();
    assert_eq!(delivered, 0, "an endpoint is not told of its own failure");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dispatchers_share_the_events() {
    let mut stack = Stack::plan().dispatchers(2).start().await;
    let texts = 300;
    stack.simulator.post("/load", json!({"messages": texts, "rate": 200, "contacts": 5})).await;
    let requests =
        stack.receiver.wait_until("all", Duration::from_secs(60), |r| crate::expect::by_id(r).len() >= texts).await;
    stack.settled().await;
    assert!(crate::expect::by_id(&requests).values().all(|copies| copies.len() == 1), "each delivered once");
    for dispatcher in &mut stack.dispatchers {
        dispatcher.wait_for_line(|line| line.contains("Webhook sent successfully"), Duration::from_secs(5)).await;
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_webhook_url_events_still_reach_nats() {
    let stack = Stack::plan().without_webhooks().start().await;
    let (_, answer) = stack.api.post("/api/webhook/test", json!({})).await;
    assert_eq!((&answer["success"], &answer["result"]), (&json!(true), &json!(null)), "{answer}");
    let (_, status) = stack.api.get("/api/webhook/status").await;
    assert_eq!((&status["data"]["enabled"], &status["data"]["webhookUrl"]), (&json!(false), &json!(null)));
    assert!(stack.events().await.iter().any(|(_, _, body)| body["event"] == "test"));
    stack.finish().await;
}
