//! `/api/replays` and `/api/ledger`: what a dispatcher is asked, and what it means in HTTP.

use crate::{
    api::Api,
    endpoints::{URL, bucket, made},
    stand_in::Dispatcher,
};
use kurir_contract::{
    endpoint::EndpointId,
    webhook::{LedgerReport, REPLAYS_BUCKET, Replay, ReplayState, WebhookCommand},
};
use kurir_test_harness::Nats;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/api/replays";
const ID: &str = "rep_00000000000000000000000000000001";

/// A replay that begins.
pub fn replay(endpoint: &EndpointId, of: &Value) -> Value {
    let replay = Replay {
        id: ID.to_owned(),
        endpoint: endpoint.clone(),
        of: serde_json::from_value(of.clone()).expect("what it is of"),
        state: ReplayState::Running,
        total: 5,
        waiting: 4,
        created_at: "2026-11-24T13:00:00.000Z".to_owned(),
        ended_at: None,
    };
    json!(replay)
}

/// What a dispatcher answers to a request for one.
pub fn running(request: &Value) -> Value {
    let endpoint = serde_json::from_value(request["endpoint"].clone()).expect("an endpoint");
    json!({"ok": replay(&endpoint, &request["of"])})
}

fn refusal(code: &str) -> Value {
    json!({"error": {"code": code, "message": "the dispatcher's text"}})
}

#[tokio::test]
async fn events_since_a_time_are_replayed() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("WEBHOOK_URL", "http://127.0.0.1:9/")]).await;
    let dispatcher = Dispatcher::start(&nats, |_, request| Some(running(request))).await;
    let id = made(&api, &json!({"url": URL})).await;
    for endpoint in [id.as_str(), "default"] {
        let body = json!({"endpoint": endpoint, "since": "2026-11-01T07:00:00+07:00"});
        let (status, answer) = api.post(PATH, &body).await;
        let of = json!({"kind": "since", "since": "2026-11-01T00:00:00.000Z"});
        let data = replay(&endpoint.parse().expect("an id"), &of);
        assert_eq!((status, answer), (202, json!({"success": true, "data": data})));
        let asked = dispatcher.commands().pop().expect("a command");
        assert_eq!(asked, (WebhookCommand::Replay, json!({"endpoint": endpoint, "of": of})));
    }
    for (body, expected) in [
        (json!({}), (400, "invalid_replay")),
        (json!({"endpoint": id, "since": "2999-01-01T00:00:00Z"}), (400, "invalid_replay")),
        (json!({"endpoint": id, "since": "yesterday"}), (400, "invalid_replay")),
        (json!({"endpoint": EndpointId::random(), "since": "2026-01-01T00:00:00Z"}), (404, "endpoint_not_found")),
    ] {
        let (status, answer) = api.post(PATH, &body).await;
        assert_eq!((status, answer["code"].as_str()), (expected.0, Some(expected.1)), "{body}");
    }
    assert_eq!(dispatcher.commands().len(), 2);
}

#[tokio::test]
async fn a_replay_is_listed_looked_at_and_cancelled() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    assert_eq!(api.get(PATH).await, (200, json!({"success": true, "data": [], "next": null})));
    let dispatcher = Dispatcher::start(&nats, |command, _| {
        let of = json!({"kind": "deadLetters"});
        let mut replay = replay(&EndpointId::default(), &of);
        if command == WebhookCommand::CancelReplay {
            replay["state"] = json!("cancelled");
        }
        Some(json!({"ok": replay}))
    })
    .await;
    let replays = bucket(&nats, REPLAYS_BUCKET).await;
    for (id, at) in [("rep_a", "2026-01-01"), ("rep_c", "2026-01-03"), ("rep_b", "2026-01-02"), (ID, "2026-01-04")] {
        let mut stored = replay(&EndpointId::default(), &json!({"kind": "deadLetters"}));
        (stored["id"], stored["createdAt"]) = (json!(id), json!(at));
        replays.put(id, stored.to_string().into()).await.expect("stored");
    }
    let ids = |body: &Value| -> Vec<String> {
        let data = body["data"].as_array().expect("a list");
        data.iter().filter_map(|one| one["id"].as_str()).map(str::to_owned).collect()
    };
    assert_eq!(ids(&api.get(PATH).await.1), [ID, "rep_c", "rep_b", "rep_a"]);
    let (_, page) = api.get(&format!("{PATH}?limit=2")).await;
    assert_eq!((ids(&page), &page["next"]), (vec![ID.to_owned(), "rep_c".to_owned()], &json!("rep_c")));
    let (_, page) = api.get(&format!("{PATH}?limit=2&after=rep_c")).await;
    assert_eq!((ids(&page), &page["next"]), (vec!["rep_b".to_owned(), "rep_a".to_owned()], &Value::Null));
    assert_eq!(ids(&api.get(&format!("{PATH}?endpoint=ep_1")).await.1), [""; 0]);
    assert_eq!(api.get(&format!("{PATH}?after=rep_x")).await.0, 400);

    let (status, body) = api.get(&format!("{PATH}/{ID}")).await;
    assert_eq!((status, &body["data"]["state"], &body["data"]["waiting"]), (200, &json!("running"), &json!(4)));
    let (status, body) = api.delete(&format!("{PATH}/{ID}")).await;
    assert_eq!((status, &body["data"]["state"]), (200, &json!("cancelled")));
    let asked = [WebhookCommand::ReplayProgress, WebhookCommand::CancelReplay];
    assert_eq!(dispatcher.commands(), asked.map(|command| (command, json!({"id": ID}))));
    for id in ["rep_none", "x", "rep_", "rep_a.b", "%FF"] {
        assert_eq!(api.get(&format!("{PATH}/{id}")).await.1["code"], "replay_not_found", "{id}");
        assert_eq!(api.delete(&format!("{PATH}/{id}")).await.0, 404, "{id}");
    }
}

#[tokio::test]
async fn the_ledger_of_a_span_is_the_dispatchers() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id = made(&api, &json!({"url": URL})).await;
    let ledger = LedgerReport {
        endpoint: id.parse().expect("an id"),
        from: None,
        to: "2026-11-24T13:00:00.000Z".to_owned(),
        matched: 10,
        delivered: 4,
        waiting: 3,
        dead: 2,
        filtered: 1,
        missing: 0,
    };
    let told = json!({"ok": ledger});
    let dispatcher = Dispatcher::start(&nats, move |_, _| Some(told.clone())).await;
    let path = format!("/api/ledger?endpoint={id}");
    assert_eq!(api.get(&path).await, (200, json!({"success": true, "data": ledger})));
    let span = "&from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00.5Z";
    assert_eq!(api.get(&format!("{path}{span}")).await.0, 200);
    let asked = |from: Value, to: Value| (WebhookCommand::Ledger, json!({"endpoint": id, "from": from, "to": to}));
    let (from, to) = (json!("2026-11-01T00:00:00.000Z"), json!("2026-11-02T00:00:00.500Z"));
    assert_eq!(dispatcher.commands(), [asked(Value::Null, Value::Null), asked(from, to)]);
    for (path, expected) in [
        ("/api/ledger".to_owned(), 400),
        (format!("{path}&from=x"), 400),
        (format!("{path}&from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z"), 400),
        (format!("/api/ledger?endpoint={}", EndpointId::random()), 404),
    ] {
        assert_eq!(api.get(&path).await.0, expected, "{path}");
    }
    assert_eq!(dispatcher.commands().len(), 2);
}

#[tokio::test]
async fn without_a_dispatcher_or_with_one_that_refuses_or_hangs_it_is_told_which() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id = made(&api, &json!({"url": URL})).await;
    let body = json!({"endpoint": id, "since": "2026-01-01T00:00:00Z"});
    let (status, answer) = api.post(PATH, &body).await;
    assert_eq!((status, &answer["code"]), (503, &json!("dispatcher_unavailable")));
    assert!(answer["message"].as_str().is_some_and(|text| text.contains("No webhook-dispatcher is running")));
    assert_eq!(api.get(&format!("/api/ledger?endpoint={id}")).await.0, 503);

    for (code, expected) in [("invalid_request", 400), ("conflict", 409), ("timed_out", 504), ("internal", 500)] {
        let _dispatcher = Dispatcher::start(&nats, move |_, _| Some(refusal(code))).await;
        let (status, answer) = api.post(PATH, &body).await;
        let text = json!({"success": false, "message": "the dispatcher's text", "code": code});
        assert_eq!((status, answer), (expected, text));
    }
    let _silent = Dispatcher::start(&nats, |_, _| None).await;
    let began = Instant::now();
    let (status, answer) = api.post(PATH, &body).await;
    assert_eq!((status, &answer["code"]), (504, &json!("timed_out")));
    assert!((Duration::from_secs(14)..Duration::from_secs(20)).contains(&began.elapsed()), "{:?}", began.elapsed());
}
