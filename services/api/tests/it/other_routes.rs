//! The contract's section "Other routes".

use crate::{
    api::{Api, KEY, answer, assert_iso, take},
    stand_in::{Gateway, connected, known},
};
use futures::StreamExt as _;
use kurir_contract::{command::Command, service::ServiceName, subject};
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn health_has_its_fields() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let (status, mut body) = answer(api.request(Method::GET, "/api/health")).await;
    assert_iso(&take(&mut body, "timestamp"));
    assert!(take(&mut body, "uptime").as_f64().is_some_and(|uptime| uptime > 0.0));
    assert!(take(&mut body, "version").is_string());
    assert_eq!((status, body), (200, json!({"success": true, "message": "WhatsApp API is running"})));
}

#[tokio::test]
async fn health_in_detail_shows_what_runs_and_what_does_not() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("NODE_ENV", "production")]).await;
    let client = nats.client().await;
    let mut pings =
        client.subscribe(subject::service_ping(ServiceName::WebhookDispatcher)).await.expect("a subscription");
    known(&client).await;
    let dispatcher = tokio::spawn(async move {
        while let Some(ping) = pings.next().await {
            for instance in ["a", "b"] {
                let pong = json!({"service": "webhook-dispatcher", "instance": instance, "version": "0", "ready": true, "uptimeSeconds": 1});
                client.publish(ping.reply.clone().expect("an inbox"), pong.to_string().into()).await.expect("sent");
            }
        }
    });
    let (status, body) = api.get("/api/health/detailed").await;
    dispatcher.abort();
    assert_eq!((status, &body["success"]), (200, &json!(true)));
    assert_eq!(body["message"], "WhatsApp API detailed health check");
    assert_iso(&body["timestamp"]);
    assert_eq!(body["environment"], "production");
    assert_eq!(body["platform"], if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS });
    let rss = body["memory"]["rss"].as_str().unwrap_or_default();
    assert!(rss.strip_suffix(" MB").is_some_and(|megabytes| megabytes.parse::<u32>().is_ok()), "{rss}");
    assert_eq!(body["broker"], json!({"connected": true}));
    let services = body["services"].as_array().expect("an array");
    let names: Vec<_> = services.iter().map(|pong| pong["service"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["api", "webhook-dispatcher", "webhook-dispatcher"]);
}

#[tokio::test]
async fn metrics_count_what_happened_and_a_reset_wants_the_key() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", |command, arguments| {
        Some(match command {
            Command::Status => connected(),
            _ if arguments["text"] == "bad" => json!({"error": {"code": "timed_out", "message": "x"}}),
            _ => json!({"ok": {"messageId": "1", "to": "6281234567890@s.whatsapp.net", "attempt": 1}}),
        })
    })
    .await;
    for text in ["good", "bad", "good"] {
        api.post("/api/whatsapp/send-message", &json!({"to": "6281234567890", "message": text})).await;
    }
    assert_eq!(gateway.commands().len(), 3);
    api.get("/api/whatsapp/qr").await;
    api.get("/api/nothing").await;

    let (status, mut body) = answer(api.request(Method::GET, "/api/metrics")).await;
    assert_eq!((status, &body["success"]), (200, &json!(true)));
    let data = &mut body["data"];
    assert!(take(data, "startTime").as_u64().is_some_and(|ms| ms > 1_700_000_000_000));
    assert!(take(data, "uptime").is_u64());
    assert!(take(data, "lastActivity").is_u64());
    let counts = json!({"messagesSent": 2, "messagesFailed": 1, "qrCodeRequests": 1, "apiRequests": 6, "apiErrors": 2});
    for stats in ["hourlyStats", "dailyStats"] {
        // By the hour there are two tables if the test ran through its end.
        let stats = take(data, stats);
        let tables = stats.as_object().expect("an object");
        assert!(tables.len() > 1 || tables.values().all(|table| *table == counts), "{stats}");
    }
    let expected = json!({
        "messagesSent": 2, "messagesFailed": 1, "mediaSent": 0, "mediaFailed": 0, "bulkRequests": 0,
        "bulkMessagesSent": 0, "bulkMessagesFailed": 0, "qrCodeRequests": 1, "apiRequests": 6, "apiErrors": 2,
        "successRate": 67,
    });
    assert_eq!(*data, expected);

    let without_key = answer(api.request(Method::POST, "/api/metrics/reset")).await;
    assert_eq!(without_key.0, 401);
    let reset = answer(api.request(Method::POST, "/api/metrics/reset").header("X-API-Key", KEY)).await;
    assert_eq!(reset, (200, json!({"success": true, "message": "Metrics reset successfully"})));
    let (_, after) = api.get("/api/metrics").await;
    assert_eq!(after["data"]["messagesSent"], 0);
    assert_eq!(after["data"]["successRate"], 0);
}
