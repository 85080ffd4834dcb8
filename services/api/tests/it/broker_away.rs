//! NATS is not there: 503 within 5 s, and all is well again without a restart when it is back.

use crate::{
    api::{Api, KEY, SOON, answer, dispatcher, events_stored},
    stand_in::{Gateway, connected},
};
use kurir_contract::command::Command;
use kurir_test_harness::{Nats, Receiver, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const AT_ONCE: Duration = Duration::from_secs(5);

fn calls() -> [(Method, &'static str, Value); 6] {
    [
        (Method::GET, "/api/whatsapp/status", json!({})),
        (Method::GET, "/api/whatsapp/qr", json!({})),
        (Method::POST, "/api/whatsapp/send-message", json!({"to": "6281234567890", "message": "x"})),
        (Method::POST, "/api/whatsapp/logout", json!({})),
        (Method::POST, "/api/webhook/test", json!({})),
        (Method::POST, "/api/webhook/send", json!({"eventType": "x"})),
    ]
}

async fn all_answer_503(api: &Api) {
    for (method, path, body) in calls() {
        let began = Instant::now();
        let (status, answer) = answer(api.request(method, path).header("X-API-Key", KEY).json(&body)).await;
        let took = began.elapsed();
        assert_eq!((status, &answer["code"]), (503, &json!("broker_unavailable")), "{path}: {answer}");
        assert!(took < AT_ONCE, "{path} took {took:?}");
    }
}

fn answers(command: Command, _: &Value) -> Option<Value> {
    Some(match command {
        send if send.is_send() => {
            json!({"ok": {"messageId": "1", "to": "6281234567890@s.whatsapp.net", "attempt": 1}})
        }
        Command::Logout => json!({"ok": {"wasPaired": true}}),
        _ => connected(),
    })
}

async fn all_is_well(api: &Api) {
    until("the API to be ready", SOON, || async { api.get("/readyz").await.0 == 200 }).await;
    for (method, path, body) in calls() {
        until(path, SOON, || async {
            match answer(api.request(method.clone(), path).header("X-API-Key", KEY).json(&body)).await {
                (200, _) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_broker_that_is_killed_is_told_at_once_and_used_again_when_it_is_back() {
    let mut nats = Nats::start().await;
    let receiver = Receiver::start().await;
    let api = Api::start(&nats, &[("WEBHOOK_URL", &receiver.url())]).await;
    let _dispatcher = dispatcher(&nats, &receiver.url()).await;
    let gateway = Gateway::start(&nats, "default", answers).await;
    all_is_well(&api).await;
    let (commands, events) = (gateway.commands().len(), events_stored(&nats).await);

    nats.kill().await;
    all_answer_503(&api).await;
    assert_eq!(api.get("/livez").await.0, 200);
    assert_eq!(api.get("/readyz").await.0, 503);
    assert_eq!(api.get("/api/health/detailed").await.1["broker"], json!({"connected": false}));

    nats.start_again().await;
    until("the API to be ready", SOON, || async { api.get("/readyz").await.0 == 200 }).await;
    // What was answered with 503 does not come after all.
    assert_eq!(events_stored(&nats).await, events);
    assert_eq!(gateway.commands().len(), commands);
    all_is_well(&api).await;
}

#[tokio::test]
async fn a_broker_that_hangs_is_told_within_five_seconds() {
    let mut nats = Nats::start().await;
    let api = Api::start(&nats, &[("WEBHOOK_URL", "http://127.0.0.1:9/")]).await;
    nats.pause();
    all_answer_503(&api).await;
    nats.resume();
}

#[tokio::test]
async fn the_api_starts_without_a_broker() {
    let mut nats = Nats::start().await;
    nats.stop().await;
    let mut api = Api::spawn(&nats.url(), &[]);
    api.process.wait_for_line(|line| line.contains("the API listens on"), SOON).await;
    all_answer_503(&api).await;
    nats.start_again().await;
    api.process.wait_ready(SOON).await;
    assert_eq!(api.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_stream_that_is_missing_is_made() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    nats.jetstream().await.delete_stream(kurir_contract::stream::EVENTS).await.expect("deleted");
    assert_eq!(api.post("/api/webhook/send", &json!({"eventType": "x"})).await.0, 200);
    assert_eq!(events_stored(&nats).await, 1);
}
