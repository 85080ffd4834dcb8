//! SIGTERM: what is under way is answered, nothing more is taken, and the exit code says that it was asked for.

use crate::{
    api::{Api, KEY, SOON, answer},
    stand_in::{Gateway, connected},
};
use kurir_contract::command::Command;
use kurir_test_harness::{Nats, http};
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_send_under_way_is_answered_before_the_end() {
    let nats = Nats::start().await;
    let mut api = Api::start(&nats, &[]).await;
    let gateway = Gateway::slow(&nats, "default", Duration::from_secs(2), |command, _| {
        Some(match command {
            Command::Status => connected(),
            _ => json!({"ok": {"messageId": "1", "to": "6281234567890@s.whatsapp.net", "attempt": 1}}),
        })
    })
    .await;
    let request = api.request(Method::POST, "/api/whatsapp/send-message").header("X-API-Key", KEY);
    let call = tokio::spawn(answer(request.json(&json!({"to": "6281234567890", "message": "x"}))));
    gateway.wait_for_commands(1).await;
    let status = api.process.terminate(SOON).await;
    assert_eq!(status.code(), Some(0));
    let (status, body) = call.await.expect("an answer");
    assert_eq!((status, &body["messageId"]), (200, &json!("1")));
    assert!(http::client().get(api.url("/livez")).send().await.is_err_and(|error| error.is_connect()));
}

#[tokio::test]
async fn without_work_it_ends_at_once() {
    let nats = Nats::start().await;
    let mut api = Api::start(&nats, &[]).await;
    // Leaves an idle connection open.
    assert_eq!(api.get("/livez").await.0, 200);
    let began = Instant::now();
    assert_eq!(api.process.terminate(SOON).await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
