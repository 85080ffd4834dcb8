//! `POST /api/endpoints/{id}/test`: an event for one endpoint, and how its delivery ended.

use crate::{
    api::{Api, assert_iso, dispatcher, events_stored, take},
    endpoints::{PATH, URL, made},
};
use async_nats::Message;
use futures::StreamExt as _;
use kurir_contract::{
    delivery::DeliveryReport,
    event::EventId,
    header,
    subject::{self, ALL_EVENTS},
};
use kurir_test_harness::{Answer, Nats, Receiver};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Stands in for the dispatcher of one event: tells of its end and gives what was published.
async fn settle_one(
    nats: &Nats,
    end: impl FnOnce(&EventId) -> DeliveryReport + Send + 'static,
) -> tokio::task::JoinHandle<Message> {
    let client = nats.client().await;
    let mut events = client.subscribe(ALL_EVENTS).await.expect("a subscription");
    crate::stand_in::known(&client).await;
    tokio::spawn(async move {
        let event = events.next().await.expect("an event");
        let headers = event.headers.clone().expect("headers");
        let text = |name| headers.get(name).map(ToString::to_string).unwrap_or_default();
        let ended = serde_json::to_vec(&end(&EventId::from_header(&text(header::EVENT_ID)))).expect("JSON");
        client.publish(text(header::REPORT_TO), ended.into()).await.expect("a connection");
        client.flush().await.expect("a connection");
        event
    })
}

fn ended(event: &EventId, endpoint: &str, status: u16) -> DeliveryReport {
    let delivered = status < 300;
    let error = (!delivered).then(|| format!("the receiver answered {status}"));
    let endpoint = endpoint.parse().expect("an id");
    DeliveryReport {
        event_id: event.clone(),
        endpoint,
        attempt: 2,
        status: Some(status),
        delivered,
        error,
        body: None,
        retried: false,
    }
}

#[tokio::test]
async fn a_test_is_for_one_endpoint_alone_and_of_what_it_wants() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let wants = json!({"events": ["message.*"], "sessions": ["sales"]});
    for (wants, chosen, subject) in [
        (json!({}), None, None),
        (wants.clone(), None, None),
        (wants, Some("message.sent"), Some("whatsapp.events.sales.message.sent")),
        (json!({"sessions": ["a", "default"]}), Some("a.b"), Some("whatsapp.events.default.a.b")),
    ] {
        let mut body = wants;
        body["url"] = json!(URL);
        let id = made(&api, &body).await;
        let named = id.clone();
        let settled = settle_one(&nats, move |event| ended(event, &named, 204)).await;
        let (status, answer) =
            api.post(&format!("{PATH}/{id}/test"), &json!({"eventType": chosen, "data": {"a": 1}})).await;
        let wanted = chosen.is_some() || body["events"].is_null();
        let result = json!({"success": true, "status": 204, "attempt": 2, "wanted": wanted});
        let expected = json!({"success": true, "message": "Webhook test completed", "result": result});
        assert_eq!((status, answer), (200, expected));

        let message = settled.await.expect("an event");
        let own = subject::test_of_endpoint(&id.parse().expect("an id"));
        assert_eq!(message.subject.as_str(), subject.unwrap_or(&own));
        let headers = message.headers.expect("headers");
        assert_eq!(headers.get(header::ONLY_FOR).map(ToString::to_string), Some(id));
        let mut envelope: Value = serde_json::from_slice(&message.payload).expect("JSON");
        assert_iso(&take(&mut envelope, "timestamp"));
        assert_iso(&take(&mut envelope["data"], "timestamp"));
        assert_eq!(envelope, json!({"event": chosen.unwrap_or("test"), "data": {"a": 1, "test": true}}));
    }
}

#[tokio::test]
async fn a_test_that_was_given_up_says_why() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id = made(&api, &json!({"url": URL})).await;
    let named = id.clone();
    let settled = settle_one(&nats, move |event| ended(event, &named, 500)).await;
    let (status, body) = api.post(&format!("{PATH}/{id}/test"), &json!({})).await;
    let result = json!({"success": false, "error": "All retry attempts failed", "reason": "the receiver answered 500",
        "status": 500, "wanted": true});
    assert_eq!((status, &body["result"]), (200, &result));
    settled.await.expect("an event");
}

#[tokio::test]
async fn what_would_never_arrive_is_not_published() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id = made(&api, &json!({"url": URL, "events": ["message.*"]})).await;
    let path = format!("{PATH}/{id}");
    for (body, code) in [
        (json!({"eventType": "call.received"}), "invalid_event_type"),
        (json!({"eventType": "a b"}), "invalid_event_type"),
        (json!({"data": 7}), "invalid_data"),
    ] {
        let (status, answer) = api.post(&format!("{path}/test"), &body).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{body}");
    }
    assert_eq!(api.post(&format!("{path}/disable"), &json!({})).await.0, 200);
    let (status, answer) = api.post(&format!("{path}/test"), &json!({})).await;
    assert_eq!((status, &answer["code"]), (409, &json!("endpoint_disabled")));
    assert_eq!(events_stored(&nats).await, 0);
}

#[tokio::test]
async fn the_endpoint_of_the_environment_is_tested_by_the_real_dispatcher() {
    let nats = Nats::start().await;
    let receiver = Receiver::start().await;
    receiver.answers([Answer::status(204)]);
    let api = Api::start(&nats, &[("WEBHOOK_URL", &receiver.url())]).await;
    let _dispatcher = dispatcher(&nats, &receiver.url()).await;
    let (status, body) = api.post(&format!("{PATH}/default/test"), &json!({})).await;
    assert_eq!(
        (status, &body["result"]),
        (200, &json!({"success": true, "status": 204, "attempt": 1, "wanted": true}))
    );
    assert_eq!(receiver.requests()[0].json()["event"], "test");
}

/// Somebody waits for the answer, and the schedule of an endpoint takes hours.
#[tokio::test]
async fn a_test_that_is_still_retried_says_why_long_before_its_end() {
    for settings in [json!({}), json!({"ordering": "chat"})] {
        let nats = Nats::start().await;
        let receiver = Receiver::start().await;
        let hint = "{\"hint\":\"the flow does not listen\"}";
        receiver.always(Answer::status(404).body(hint));
        let api = Api::start(&nats, &[("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8")]).await;
        let _dispatcher = dispatcher(&nats, "").await;
        let mut body = settings.clone();
        body["url"] = json!(receiver.url());
        let id = made(&api, &body).await;
        let begun = Instant::now();
        let (status, answer) = api.post(&format!("{PATH}/{id}/test"), &json!({})).await;
        let result = &answer["result"];
        assert_eq!((status, &result["success"], &result["error"]), (200, &json!(false), &json!("Still being retried")));
        assert_eq!((&result["status"], &result["body"]), (&json!(404), &json!(hint)), "{settings}: {answer}");
        assert!(result["reason"].as_str().is_some_and(|reason| reason.contains("404")), "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
    }
}
