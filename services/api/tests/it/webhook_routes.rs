//! The contract's section "Webhook routes".

use crate::api::{Api, KEY, answer, assert_iso, dispatcher, events_stored, take};
use kurir_test_harness::{Answer, Nats, Process, Receiver, Request};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const URL: &str = "http://127.0.0.1:9/webhook";

#[tokio::test]
async fn the_status_tells_whether_webhooks_are_enabled() {
    let nats = Nats::start().await;
    for (url, enabled, shown) in [(URL, true, json!(URL)), ("", false, Value::Null)] {
        let api = Api::start(&nats, &[("WEBHOOK_URL", url)]).await;
        let (status, mut body) = api.get("/api/webhook/status").await;
        assert_iso(&take(&mut body["data"], "timestamp"));
        let expected = json!({"success": true, "data": {"enabled": enabled, "webhookUrl": shown}});
        assert_eq!((status, body), (200, expected));
    }
}

struct Stage {
    nats: Nats,
    receiver: Receiver,
    api: Api,
    _dispatcher: Process,
}

async fn stage() -> Stage {
    let nats = Nats::start().await;
    let receiver = Receiver::start().await;
    let api = Api::start(&nats, &[("WEBHOOK_URL", &receiver.url())]).await;
    let _dispatcher = dispatcher(&nats, &receiver.url()).await;
    Stage { nats, receiver, api, _dispatcher }
}

#[tokio::test]
async fn a_test_goes_the_way_of_every_event_and_answers_with_its_end() {
    let Stage { nats, receiver, api, .. } = &stage().await;
    receiver.answers([Answer::status(200), Answer::status(500), Answer::status(204)]);
    let completed = |status: u16, attempt: u32| {
        let result = json!({"success": true, "status": status, "attempt": attempt});
        (200, json!({"success": true, "message": "Webhook test completed", "result": result}))
    };
    let empty = api.request(Method::POST, "/api/webhook/test").header("X-API-Key", KEY);
    assert_eq!(answer(empty).await, completed(200, 1));
    let given = json!({"eventType": "my.test", "data": {"a": [1], "test": "mine", "timestamp": 0}});
    assert_eq!(api.post("/api/webhook/test", &given).await, completed(204, 2));

    let mut bodies: Vec<Value> = receiver.requests().iter().map(Request::json).collect();
    for body in &mut bodies {
        let made = take(body, "timestamp");
        assert_iso(&made);
        assert_eq!(take(&mut body["data"], "timestamp"), made);
    }
    let second = json!({"event": "my.test", "data": {"a": [1], "test": true}});
    assert_eq!(bodies, [json!({"event": "test", "data": {"test": true}}), second.clone(), second]);
    assert_eq!(events_stored(nats).await, 2);
}

#[tokio::test]
async fn an_event_of_the_users_own_is_delivered_as_it_was_given() {
    let Stage { receiver, api, .. } = &stage().await;
    let result = json!({"success": true, "status": 200, "attempt": 1});
    let sent = (200, json!({"success": true, "message": "Custom webhook sent", "result": result}));
    let data = json!({"orderId": 7, "nested": {"ü": null}});
    assert_eq!(api.post("/api/webhook/send", &json!({"eventType": "custom.event", "data": data})).await, sent);
    assert_eq!(api.post("/api/webhook/send", &json!({"eventType": "a-b_C.9"})).await, sent);
    let mut bodies: Vec<Value> = receiver.requests().iter().map(Request::json).collect();
    bodies.iter_mut().for_each(|body| assert_iso(&take(body, "timestamp")));
    assert_eq!(bodies, [json!({"event": "custom.event", "data": data}), json!({"event": "a-b_C.9", "data": {}})]);
}

/// Receivers that check a signature over the data, or that read numbers of 20 digits, need every byte.
#[tokio::test]
async fn the_data_of_the_users_own_event_is_delivered_byte_for_byte() {
    let Stage { receiver, api, .. } = &stage().await;
    for (number, (event, data, delivered)) in [
        ("custom.event", r#"{"z":1, "a":12345678901234567890.10,"b":1.0,"c":"\u00fc","d":{ "y":[],"x":1e5 }}"#, None),
        ("custom.event", "{ }", None),
        // Marked, because Kurir makes events of this type, too.
        ("message.received", r#"{"z":1.50,"a":2}"#, Some(r#"{"z":1.50,"a":2,"synthetic":true}"#)),
        ("message.received", "{}", Some(r#"{"synthetic":true}"#)),
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!(r#"{{"eventType":"{event}","data":{data}}}"#);
        let request = api.request(Method::POST, "/api/webhook/send").header("X-API-Key", KEY);
        let (status, said) = answer(request.header("Content-Type", "application/json").body(body)).await;
        assert_eq!(status, 200, "{said}");
        let arrived = receiver.requests()[number].body.clone();
        let arrived = String::from_utf8(arrived.to_vec()).expect("text");
        let end = format!(r#","data":{}}}"#, delivered.unwrap_or(data));
        assert!(arrived.ends_with(&end), "{arrived} instead of {end}");
    }
}

#[tokio::test]
async fn a_delivery_that_was_given_up_is_told() {
    let Stage { receiver, api, .. } = &stage().await;
    receiver.always(Answer::status(500));
    let (status, body) = api.post("/api/webhook/test", &json!({})).await;
    let result = json!({"success": false, "error": "All retry attempts failed"});
    assert_eq!((status, body), (200, json!({"success": true, "message": "Webhook test completed", "result": result})));
}

#[tokio::test]
async fn after_25_seconds_without_an_end_it_says_that_it_is_still_being_retried() {
    let Stage { receiver, api, .. } = &stage().await;
    receiver.always(Answer::Hang);
    let began = Instant::now();
    let (status, mut body) = api.post("/api/webhook/send", &json!({"eventType": "custom.event"})).await;
    let took = began.elapsed();
    assert!((Duration::from_secs(24)..Duration::from_secs(30)).contains(&took), "{took:?}");
    let id = take(&mut body["result"], "eventId");
    assert_eq!(json!(receiver.requests()[0].header("webhook-id")), id);
    let result = json!({"success": false, "error": "Still being retried"});
    assert_eq!((status, body), (200, json!({"success": true, "message": "Custom webhook sent", "result": result})));
}

#[tokio::test]
async fn without_a_webhook_an_event_still_reaches_nats_and_there_is_no_result() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let test = api.post("/api/webhook/test", &json!({})).await;
    assert_eq!(test, (200, json!({"success": true, "message": "Webhook test completed"})));
    let send = api.post("/api/webhook/send", &json!({"eventType": "x"})).await;
    assert_eq!(send, (200, json!({"success": true, "message": "Custom webhook sent"})));
    assert_eq!(events_stored(&nats).await, 2);
}

#[tokio::test]
async fn bad_input_is_refused_with_its_text_and_nothing_is_published() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("WEBHOOK_URL", URL)]).await;
    let (required, invalid, data) = ("eventType is required", "Invalid eventType", "data must be an object");
    for (path, body, message) in [
        ("send", json!({}), required),
        ("send", json!({"eventType": null}), required),
        ("send", json!({"eventType": ""}), required),
        ("send", json!({"eventType": " "}), invalid),
        ("send", json!({"eventType": "my event"}), invalid),
        ("send", json!({"eventType": "a.>"}), invalid),
        ("send", json!({"eventType": "*"}), invalid),
        ("send", json!({"eventType": "a..b"}), invalid),
        ("send", json!({"eventType": ".a"}), invalid),
        ("send", json!({"eventType": "ü"}), invalid),
        ("send", json!({"eventType": "x".repeat(129)}), invalid),
        ("send", json!({"eventType": 7}), invalid),
        ("send", json!({"eventType": "x", "data": "text"}), data),
        ("send", json!({"eventType": "x", "data": [1]}), data),
        ("test", json!({"eventType": ""}), invalid),
        ("test", json!({"eventType": "a b"}), invalid),
        ("test", json!({"eventType": ["test"]}), invalid),
        ("test", json!({"data": 1}), data),
    ] {
        let (status, answer) = api.post(&format!("/api/webhook/{path}"), &body).await;
        assert_eq!((status, &answer["success"]), (400, &json!(false)), "{path} {body}");
        assert_eq!(answer["message"], message, "{path} {body}");
        assert!(answer["code"].is_string(), "{path} {body}");
    }
    assert_eq!(events_stored(&nats).await, 0);
}

#[tokio::test]
async fn an_event_that_nats_does_not_take_is_too_large() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    // Within the body's limit; the envelope and the headers make it more than NATS' own.
    let body = json!({"eventType": "x", "data": {"x": "x".repeat(1024 * 1024 - 40)}});
    let (status, answer) = api.post("/api/webhook/send", &body).await;
    assert_eq!((status, &answer["code"]), (413, &json!("event_too_large")), "{answer}");
}
