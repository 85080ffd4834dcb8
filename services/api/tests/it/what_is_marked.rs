//! What a caller made is marked, and what strangers need not know is not said.

use crate::api::{Api, answer};
use futures::StreamExt as _;
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_event_of_a_caller_is_marked_and_one_of_kurirs_own_types_in_its_data_too() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let mut events = nats.client().await.subscribe("whatsapp.events.>").await.expect("a subscription");
    let given = json!({"a": 1});
    for (path, event_type, data) in [
        ("/api/webhook/send", "message.received", json!({"a": 1, "synthetic": true})),
        ("/api/webhook/send", "session.logged_out", json!({"a": 1, "synthetic": true})),
        ("/api/webhook/send", "custom.event", json!({"a": 1})),
    ] {
        crate::stand_in::known(&nats.client().await).await;
        let (status, _) = api.post(path, &json!({"eventType": event_type, "data": given})).await;
        assert_eq!(status, 200);
        let event = events.next().await.expect("the event");
        let body: Value = serde_json::from_slice(&event.payload).expect("JSON");
        assert_eq!((&body["event"], &body["data"]), (&json!(event_type), &data));
        let headers = event.headers.expect("headers");
        assert_eq!(headers.get("Kurir-Synthetic").map(|value| value.as_str()), Some("true"), "{event_type}");
    }
}

#[tokio::test]
async fn without_the_key_the_health_names_no_instance_and_no_version_of_others() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for path in ["/api/health/detailed", "/api/health/detailed?api_key=wrong"] {
        let (status, body) = answer(api.request(Method::GET, path)).await;
        assert_eq!((status, &body["services"]), (200, &json!([{"service": "api", "ready": true}])), "{body}");
        assert!(body["memory"]["rss"].is_string() && body["environment"].is_string(), "{body}");
    }
    let (_, body) = api.get("/api/health/detailed").await;
    assert!(body["services"][0]["instance"].is_string(), "{body}");
}
