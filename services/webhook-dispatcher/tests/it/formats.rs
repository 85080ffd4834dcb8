//! Each endpoint has its format. An event without a counterpart in the format is not sent, and counted.

use crate::stage::{SOON, Stage};
use kurir_contract::{
    delivery::AttemptResult,
    endpoint::{EndpointId, SigningSecret},
    header, subject,
};
use kurir_test_harness::{Receiver, Request};
use serde_json::{Value, json};

async fn endpoint(stage: &Stage, format: &str, secret: &SigningSecret) -> (EndpointId, Receiver) {
    let receiver = Receiver::start().await;
    let secrets = json!([{"secret": secret.reveal()}]);
    (stage.endpoint(json!({"url": receiver.url(), "format": format, "secrets": secrets})).await, receiver)
}

fn data() -> Value {
    json!({
        "messageId": "3EB0C431C26A1916E07A", "from": "491700000001@s.whatsapp.net", "timestamp": 1_764_000_000_000_u64,
        "messageType": "text", "content": {"text": "hello"},
        "sender": {"jid": "491700000001@s.whatsapp.net", "pushName": "Ada"}, "participant": null
    })
}

async fn only(receiver: &Receiver) -> Request {
    receiver.wait_for(1, SOON).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_arrives_in_each_format_signed_as_it_is_sent() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let secret = SigningSecret::random();
    let mut endpoints = Vec::new();
    for format in ["kurir", "cloudevents", "waha", "evolution"] {
        endpoints.push(endpoint(&stage, format, &secret).await);
    }
    stage.store("default", "message.received", "evt_1", data()).await;
    let mut requests = Vec::new();
    for (_, receiver) in &endpoints {
        requests.push(only(receiver).await);
    }
    let [kurir, cloudevents, waha, evolution] = &requests[..] else { panic!("four endpoints") };
    assert_eq!((&kurir.json()["event"], &kurir.json()["data"]), (&json!("message.received"), &data()));
    assert_eq!(cloudevents.json(), data());
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "evt_1"),
        ("ce-type", "kurir.message.received"),
        ("ce-source", "/sessions/default"),
    ] {
        assert_eq!(cloudevents.header(name), value);
    }
    let waha = waha.json();
    assert_eq!((&waha["event"], &waha["payload"]["body"]), (&json!("message"), &json!("hello")));
    let evolution = evolution.json();
    assert_eq!(evolution["event"], "messages.upsert");
    assert_eq!(evolution["data"]["key"]["id"], "3EB0C431C26A1916E07A");
    for request in &requests {
        assert_eq!((request.header("content-type"), request.header("webhook-id")), ("application/json", "evt_1"));
        let library = standardwebhooks::Webhook::new(&secret.reveal()).unwrap();
        assert!(library.verify(&request.body, &request.headers).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_counterpart_is_counted_and_not_sent() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let secret = SigningSecret::random();
    let endpoints = [endpoint(&stage, "waha", &secret).await, endpoint(&stage, "evolution", &secret).await];
    stage.store("default", "custom.event", "evt_1", json!({})).await;
    stage.store("default", "message.received", "evt_2", data()).await;
    for (id, receiver) in &endpoints {
        stage.all_settled(&[id], SOON).await;
        assert_eq!(receiver.count(), 1);
        let attempts = stage.recorded_of(id, 2).await;
        let unsent: Vec<_> =
            attempts.iter().filter(|a| a.result == AttemptResult::Filtered { by: "format".to_owned() }).collect();
        assert_eq!((attempts.len(), unsent.len()), (2, 1));
        assert_eq!(unsent[0].event_id.as_str(), "evt_1");
    }
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_an_endpoint_arrives_whatever_its_format_is() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let secret = SigningSecret::random();
    for format in ["waha", "evolution"] {
        let (id, receiver) = endpoint(&stage, format, &secret).await;
        for (kind, subject) in [
            ("test", subject::test_of_endpoint(&id)),
            ("custom.event", "whatsapp.events.default.custom.event".to_owned()),
            ("message.received", "whatsapp.events.default.message.received".to_owned()),
        ] {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(header::EVENT_ID, format!("evt_{kind}_{id}").as_str());
            headers.insert(header::ONLY_FOR, id.as_str());
            let body = json!({"event": kind, "timestamp": "2026-11-24T13:27:25.042Z", "data": data()}).to_string();
            stage.jetstream.publish_with_headers(subject, headers, body.clone().into()).await.unwrap().await.unwrap();
            stage.all_settled(&[&id], SOON).await;
            let arrived = receiver.requests().pop().unwrap();
            // An event with a counterpart has the format's form. All others are sent as they are stored.
            assert_eq!(arrived.body == body.as_bytes(), kind != "message.received", "{format} {kind}");
        }
        assert_eq!(receiver.count(), 3);
    }
}
