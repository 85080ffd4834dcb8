//! Each way in which a session ends is a state of its own and an event, and never a reconnect loop.

use crate::expect::webhook;
use kurir_test_harness::{Stack, stack::SOON, until};
use serde_json::{Value, json};
use std::time::Duration;

async fn status(stack: &Stack) -> Value {
    stack.api.get("/api/whatsapp/status").await.1["data"].clone()
}

async fn ends_as(stack: &Stack, wanted: &str) -> Value {
    let body = webhook(&stack.receiver, wanted, |body| {
        body["event"] == "connection.status" && body["data"]["status"] == wanted
    })
    .await
    .json();
    assert_eq!(body["data"]["isConnected"], false);
    until("the API to say so", SOON, || async {
        let now = status(stack).await;
        if now["status"] == wanted && now["isConnected"] == false { Ok(()) } else { Err(now) }
    })
    .await;
    body
}

/// No further login within some seconds: every one would have been counted.
async fn stays_away(stack: &Stack) {
    let logins = || async { stack.simulator.get("/statistics").await["logins"].as_u64().unwrap() };
    let before = logins().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(logins().await, before, "a reconnect loop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_on_the_phone_is_an_end_and_a_new_code_comes_on_request() {
    let stack = Stack::plan().unpaired().start().await;
    pair(&stack).await;
    stack.simulator.post("/sessions/logout", json!({})).await;
    ends_as(&stack, "logged_out").await;
    stays_away(&stack).await;
    pair(&stack).await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_by_the_user_is_an_end_and_a_new_code_comes_on_request() {
    let stack = Stack::plan().unpaired().start().await;
    pair(&stack).await;
    let answer = stack.api.post("/api/whatsapp/logout", json!({})).await;
    assert_eq!(answer, (200, json!({"success": true, "message": "Logged out successfully"})));
    ends_as(&stack, "logged_out").await;
    let again = stack.api.post("/api/whatsapp/logout", json!({})).await.1;
    assert_eq!(again, json!({"success": false, "message": "No active session found"}));
    stays_away(&stack).await;
    pair(&stack).await;
    stack.finish().await;
}

/// Asks for a code as an old user does, and scans it.
async fn pair(stack: &Stack) {
    let code = until("a QR code", SOON, || async {
        let (_, shown) = stack.api.get("/api/whatsapp/qr").await;
        shown["qrCode"].as_str().map(str::to_owned).ok_or(shown)
    })
    .await;
    stack.simulator.scan(&code).await;
    stack.connected(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_by_another_client_is_an_end() {
    let stack = Stack::start().await;
    stack.simulator.post("/connections/drop", json!({"streamError": "replaced"})).await;
    ends_as(&stack, "replaced").await;
    stays_away(&stack).await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refused_login_is_a_state_of_its_own() {
    let stack = Stack::start().await;
    for (refusal, wanted) in [
        (json!({"failure": 402, "code": 101, "expire": 3600, "times": 1}), "banned"),
        (json!({"failure": 403, "times": 1}), "locked"),
        (json!({"failure": 405, "times": 1}), "outdated"),
        (json!({"failure": 401, "times": 1}), "logged_out"),
    ] {
        stack.receiver.forget();
        stack.simulator.post("/connections/refuse", refusal).await;
        stack.simulator.post("/connections/drop", json!({})).await;
        let body = ends_as(&stack, wanted).await;
        if wanted == "banned" {
            assert!(body["data"]["until"].is_string(), "{body}");
        }
        stays_away(&stack).await;
        let (code, answer) = stack.api.post("/api/whatsapp/restart", json!({})).await;
        assert_eq!(code, 200, "{answer}");
        if wanted != "logged_out" {
            stack.connected(SOON).await;
        }
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_no_end() {
    let stack = Stack::start().await;
    for refusal in [json!({"failure": 503, "times": 1}), json!({"streamError": 429, "times": 1})] {
        stack.receiver.forget();
        stack.simulator.post("/connections/refuse", refusal.clone()).await;
        stack.simulator.post("/connections/drop", json!({})).await;
        webhook(&stack.receiver, "reconnecting", |body| body["data"]["status"] == "reconnecting").await;
        stack.connected(Duration::from_secs(60)).await;
        stack.simulator.contact_writes("6281234567890", &format!("after {refusal}")).await;
        webhook(&stack.receiver, "a message", |body| body["event"] == "message.received").await;
    }
    stack.finish().await;
}
