//! `/api/dead-letters`: what was given up, page by page, one by one, and again.

use crate::{
    api::{Api, take},
    endpoints::{PATH as ENDPOINTS, URL, made},
    replays::{replay, running},
    stand_in::Dispatcher,
};
use kurir_contract::{
    delivery::{AttemptResult, DeadLetter},
    endpoint::EndpointId,
    event::{EventId, EventType},
    subject,
    webhook::WebhookCommand,
};
use kurir_test_harness::Nats;
use serde_json::{Value, json};

const PATH: &str = "/api/dead-letters";

/// As a dispatcher buries it; gives its sequence.
async fn bury(nats: &Nats, endpoint: &EndpointId, payload: &str) -> u64 {
    let letter = DeadLetter {
        event_id: EventId::random(),
        event: EventType::MESSAGE_RECEIVED,
        endpoint: endpoint.clone(),
        sequence: 77,
        attempts: 4,
        reason: "the receiver answered 500".to_owned(),
        last: Some(AttemptResult::Refused { status: 500, body: "oh".to_owned(), headers: Vec::new() }),
        at: "2026-11-24T13:00:00.000Z".to_owned(),
        payload: payload.to_owned(),
    };
    let subject = subject::dead_letter(endpoint, &letter.event_id);
    let payload = serde_json::to_vec(&letter).expect("JSON");
    let stored = nats.jetstream().await.publish(subject, payload.into()).await.expect("NATS").await;
    stored.expect("stored").sequence
}

fn ids(body: &Value) -> Vec<u64> {
    body["data"].as_array().expect("a list").iter().filter_map(|letter| letter["id"].as_u64()).collect()
}

#[tokio::test]
async fn a_letter_is_shown_with_all_it_holds_until_it_is_deleted() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id = bury(&nats, &EndpointId::default(), r#"{"event":"message.received"}"#).await;
    let path = format!("{PATH}/{id}");
    let (status, mut body) = api.get(&path).await;
    assert_eq!(api.get(PATH).await, (200, json!({"success": true, "data": [body["data"]], "next": null})));
    assert!(take(&mut body["data"], "eventId").as_str().is_some_and(|id| id.starts_with("evt_")));
    let data = json!({
        "id": id, "event": "message.received", "endpoint": "default", "sequence": 77, "attempts": 4,
        "reason": "the receiver answered 500", "at": "2026-11-24T13:00:00.000Z",
        "last": {"result": "refused", "status": 500, "body": "oh", "headers": []},
        "payload": r#"{"event":"message.received"}"#,
    });
    assert_eq!((status, body), (200, json!({"success": true, "data": data})));

    assert_eq!(api.delete(&path).await, (200, json!({"success": true, "message": "Dead letter deleted"})));
    let not_found = json!({"success": false, "message": "Dead letter not found", "code": "dead_letter_not_found"});
    for id in [&id.to_string(), "0", "7000", "-1", "x", "%FF"] {
        assert_eq!(api.get(&format!("{PATH}/{id}")).await, (404, not_found.clone()), "{id}");
        assert_eq!(api.delete(&format!("{PATH}/{id}")).await, (404, not_found.clone()), "{id}");
        assert_eq!(api.post(&format!("{PATH}/{id}/replay"), &json!({})).await, (404, not_found.clone()), "{id}");
    }
    assert_eq!(api.get(PATH).await.1["data"], json!([]));
}

#[tokio::test]
async fn letters_are_read_page_by_page_of_one_endpoint_or_of_all() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let (one, other) = (EndpointId::random(), EndpointId::random());
    for endpoint in [&one, &other, &one, &one, &other] {
        bury(&nats, endpoint, "{}").await;
    }
    assert_eq!(ids(&api.get(PATH).await.1), [1, 2, 3, 4, 5]);
    assert_eq!(ids(&api.get(&format!("{PATH}?endpoint={one}")).await.1), [1, 3, 4]);
    let (_, page) = api.get(&format!("{PATH}?endpoint={one}&limit=2")).await;
    assert_eq!((ids(&page), &page["next"]), (vec![1, 3], &json!("3")));
    let (_, page) = api.get(&format!("{PATH}?endpoint={one}&limit=2&after=3")).await;
    assert_eq!((ids(&page), &page["next"]), (vec![4], &Value::Null));
    assert_eq!(ids(&api.get(&format!("{PATH}?endpoint={}", EndpointId::random())).await.1), [0; 0]);
    for query in ["after=x", "limit=0"] {
        assert_eq!(api.get(&format!("{PATH}?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_page_of_large_letters_is_short_and_none_is_missing() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for _ in 0..12 {
        bury(&nats, &EndpointId::default(), &"x".repeat(900_000)).await;
    }
    let (mut seen, mut path, mut pages) = (Vec::new(), PATH.to_owned(), 0);
    loop {
        let (_, page) = api.get(&path).await;
        seen.extend(ids(&page));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        path = format!("{PATH}?after={next}");
    }
    assert_eq!(seen, (1..=12).collect::<Vec<_>>());
    assert!(pages >= 3, "{pages}");
}

#[tokio::test]
async fn one_letter_or_all_of_an_endpoint_go_to_it_again() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let endpoint: EndpointId = made(&api, &json!({"url": URL})).await.parse().expect("an id");
    let dispatcher = Dispatcher::start(&nats, |_, request| Some(running(request))).await;
    let id = bury(&nats, &endpoint, "{}").await;

    let (status, body) = api.post(&format!("{PATH}/{id}/replay"), &json!({})).await;
    let of_one = json!({"kind": "deadLetter", "sequence": id});
    assert_eq!((status, &body["data"]), (202, &replay(&endpoint, &of_one)));
    let (status, body) = api.post(&format!("{PATH}/replay"), &json!({"endpoint": endpoint})).await;
    let of_all = json!({"kind": "deadLetters"});
    assert_eq!((status, &body["data"]), (202, &replay(&endpoint, &of_all)));
    let asked = |of: &Value| (WebhookCommand::Replay, json!({"endpoint": endpoint, "of": of}));
    assert_eq!(dispatcher.commands(), [asked(&of_one), asked(&of_all)]);

    for (body, expected) in [
        (json!({}), (400, "invalid_replay")),
        (json!({"endpoint": 7}), (400, "invalid_replay")),
        (json!({"endpoint": endpoint, "since": "x"}), (400, "invalid_replay")),
        (json!({"endpoint": EndpointId::random()}), (404, "endpoint_not_found")),
        (json!({"endpoint": "default"}), (404, "endpoint_not_found")),
    ] {
        let (status, answer) = api.post(&format!("{PATH}/replay"), &body).await;
        assert_eq!((status, answer["code"].as_str()), (expected.0, Some(expected.1)), "{body}");
    }
    // Its endpoint is gone: there is nowhere to go again.
    assert_eq!(api.delete(&format!("{ENDPOINTS}/{endpoint}")).await.0, 200);
    let (status, body) = api.post(&format!("{PATH}/{id}/replay"), &json!({})).await;
    assert_eq!((status, &body["code"]), (404, &json!("endpoint_not_found")));
    assert_eq!(dispatcher.commands().len(), 2);
}
