//! `/api/endpoints`: made, refused, listed and shown.

use crate::api::{Api, KEY, SOON, answer, assert_iso, take};
use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    kv,
};
use futures::StreamExt as _;
use kurir_contract::{
    endpoint::{BUCKET, EndpointId, EndpointSettings, STATES_BUCKET},
    event::EventType,
    session::SessionId,
    stream, subject,
};
use kurir_test_harness::{Nats, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub const PATH: &str = "/api/endpoints";
pub const URL: &str = "https://example.org/hook/very-private";

/// A bucket, as the API makes it.
pub async fn bucket(nats: &Nats, name: &str) -> kv::Store {
    nats.jetstream().await.get_key_value(name).await.expect("the bucket")
}

/// What a dispatcher reads about an endpoint.
pub async fn stored(nats: &Nats, id: &str) -> EndpointSettings {
    let value = bucket(nats, BUCKET).await.get(id).await.expect("NATS").expect("an endpoint");
    serde_json::from_slice(&value).expect("settings")
}

/// Makes one and gives its id.
pub async fn made(api: &Api, body: &Value) -> String {
    let (status, body) = api.post(PATH, body).await;
    assert_eq!(status, 201, "{body}");
    body["data"]["id"].as_str().expect("an id").to_owned()
}

pub async fn publish(nats: &Nats, event: &str) {
    let event: EventType = event.parse().expect("a type");
    let subject = subject::event(&SessionId::default(), &event);
    let stored = nats.jetstream().await.publish(subject, "{}".into()).await.expect("NATS").await;
    stored.expect("stored");
}

#[tokio::test]
async fn a_new_endpoint_has_defaults_begins_now_and_shows_its_secret_once() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    publish(&nats, "test").await;
    publish(&nats, "test").await;
    let (status, mut body) = api.post(PATH, &json!({"url": URL, "headers": {"Authorization": "Bearer x"}})).await;
    assert_eq!((status, &body["success"]), (201, &json!(true)), "{body}");
    let (secret, id) = (take(&mut body["data"], "secret"), body["data"]["id"].as_str().expect("an id").to_owned());
    assert!(secret.as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{secret}");

    let stored = stored(&nats, &id).await;
    assert_eq!(stored.secrets[0].secret.reveal(), secret.as_str().expect("text"));
    assert_eq!((stored.start_sequence, stored.headers["authorization"].as_str()), (3, "Bearer x"));

    let (status, mut shown) = api.get(&format!("{PATH}/{id}")).await;
    assert_eq!(status, 200);
    assert!(!shown.to_string().contains("whsec_") && !shown.to_string().contains("Bearer"), "{shown}");
    let data = &mut shown["data"];
    let backlog = json!({"pending": null, "inFlight": 0, "waitingRetries": 0});
    assert_eq!(take(data, "backlog"), backlog, "no dispatcher runs");
    for (field, nothing) in [("circuit", json!("closed")), ("failingSince", Value::Null), ("lastError", Value::Null)] {
        assert_eq!(take(data, field), nothing, "{field}");
    }
    assert_eq!(*data, body["data"]);
    assert_iso(&take(data, "createdAt"));
    assert_iso(&take(data, "updatedAt"));
    let warnings = take(data, "warnings");
    assert!(
        warnings[0].as_str().is_some_and(|warning| warning.contains("fromMe")),
        "it would answer itself: {warnings}"
    );
    assert_eq!(
        *data,
        json!({
            "id": id, "managedBy": "api", "url": URL, "description": "", "enabled": true, "disabledReason": null,
            "sessions": [], "events": [], "filter": {"chats": [], "senders": [], "chatType": null, "fromMe": null, "fromApi": null},
            "headers": {"authorization": "••••"}, "signed": true, "oldSecretSignsUntil": null, "retry": "patient",
            "retryJitterPercent": 0, "giveUpOn": [], "timeoutSeconds": 30, "concurrency": 32,
            "rateLimitPerSecond": null, "ordering": "none", "format": "kurir", "base64": false, "raw": false, "metadata": {},
            "proxy": null, "tlsServerName": null, "clientCertificate": null, "startSequence": 3,
        })
    );
}

#[tokio::test]
async fn a_wrong_one_is_refused_with_everything_that_is_wrong_and_is_not_stored() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    // The operator keeps events for a day only.
    let jetstream = nats.jetstream().await;
    let mut events = jetstream.get_stream(stream::EVENTS).await.expect("EVENTS");
    let mut config = events.info().await.expect("its state").config.clone();
    config.max_age = Duration::from_secs(24 * 60 * 60);
    config.duplicate_window = Duration::from_secs(60 * 60);
    jetstream.update_stream(config).await.expect("updated");

    let wrong = json!({"url": "http://169.254.169.254/x", "events": ["*.received"], "retry": [90_000], "colour": 1});
    let (status, body) = api.post(PATH, &wrong).await;
    assert_eq!((status, &body["code"], &body["success"]), (400, &json!("invalid_endpoint"), &json!(false)));
    let problems = body["problems"].as_array().expect("problems");
    let fields: Vec<&str> = problems.iter().filter_map(|problem| problem["field"].as_str()).collect();
    assert_eq!(fields, ["colour", "events", "url", "retry"], "{body}");
    let message = body["message"].as_str().expect("text");
    for told in
        ["WEBHOOK_ALLOWED_NETWORKS", "metadata address", "events are kept for 1day", "1day 1h 1m", "colour is not"]
    {
        assert!(message.contains(told), "{told}: {message}");
    }
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": "ftp://example.org/"}), "url"),
        (json!({"url": "http://localhost:5678/"}), "url"),
        (json!({"url": "http://[::1]/"}), "url"),
        (json!({"url": URL, "secret": "short"}), "secret"),
        (json!({"url": URL, "headers": {"x-key": "••••"}}), "headers"),
        (json!({"url": URL, "retry": [86_400]}), "retry"),
    ] {
        let (status, answer) = api.post(PATH, &body).await;
        assert_eq!((status, &answer["problems"][0]["field"]), (400, &json!(field)), "{body}: {answer}");
    }
    let list = answer(api.request(Method::POST, PATH).header("X-API-Key", KEY).body("[]")).await;
    assert_eq!((list.0, &list.1["code"]), (400, &json!("invalid_json")));
    assert_eq!(api.get(PATH).await, (200, json!({"success": true, "data": [], "next": null})));
}

#[tokio::test]
async fn the_operator_opens_networks() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8, 10.1.0.0/16")]).await;
    for (url, expected) in [
        ("http://127.0.0.1:5678/", 201),
        ("http://localhost:5678/", 201),
        ("http://10.1.2.3/", 201),
        ("http://10.2.2.3/", 400),
        ("http://[fd00::1]/", 400),
    ] {
        assert_eq!(api.post(PATH, &json!({"url": url})).await.0, expected, "{url}");
    }
}

#[tokio::test]
async fn a_list_is_read_page_by_page_the_oldest_first_and_default_before_all() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("WEBHOOK_URL", "http://127.0.0.1:9/x")]).await;
    let mut ids = vec!["default".to_owned()];
    for n in 0..5 {
        ids.push(made(&api, &json!({"url": URL, "description": n.to_string()})).await);
    }
    // A change makes an endpoint no younger.
    assert_eq!(api.patch(&format!("{PATH}/{}", ids[1]), &json!({"description": "x"})).await.0, 200);

    let names = |body: &Value| -> Vec<String> {
        let data = body["data"].as_array().expect("a list");
        data.iter().filter_map(|endpoint| endpoint["id"].as_str()).map(str::to_owned).collect()
    };
    let (_, all) = api.get(PATH).await;
    assert_eq!((names(&all), &all["next"]), (ids.clone(), &Value::Null));
    let default = &all["data"][0];
    assert_eq!((&default["managedBy"], &default["url"]), (&json!("environment"), &json!("http://127.0.0.1:9/x")));

    let mut seen = Vec::new();
    let mut path = format!("{PATH}?limit=1");
    while seen.len() < 10 {
        let (status, page) = api.get(&path).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(names(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("{PATH}?limit=1&after={next}");
        // The one that a page ended with may go meanwhile.
        if seen.len() == 3 {
            assert_eq!(api.delete(&format!("{PATH}/{}", ids[2])).await.0, 200);
        }
    }
    assert_eq!(seen, ids);
    for query in ["limit=0", "limit=1001", "limit=x", "after=x"] {
        let (status, body) = api.get(&format!("{PATH}?{query}")).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_query")), "{query}");
    }
}

#[tokio::test]
async fn how_it_fares_and_what_waits_is_shown() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id: EndpointId = made(&api, &json!({"url": URL, "events": ["message.*"]})).await.parse().expect("an id");
    // As a dispatcher does it.
    let jetstream = nats.jetstream().await;
    let events = jetstream.get_stream(stream::EVENTS).await.expect("EVENTS");
    let consumer = pull::Config {
        durable_name: Some(id.consumer_name()),
        ack_policy: AckPolicy::Explicit,
        filter_subjects: stored(&nats, id.as_str()).await.consumer_filters(&id),
        ..pull::Config::default()
    };
    let consumer = events.create_consumer(consumer).await.expect("a consumer");
    for event in ["message.received", "message.sent", "test", "message.received"] {
        publish(&nats, event).await;
    }
    let mut taken = consumer.fetch().max_messages(1).messages().await.expect("a pull");
    taken.next().await.expect("an event").expect("an event");
    let other = EndpointId::random();
    for (endpoint, sequence) in [(&id, 1), (&id, 2), (&other, 3)] {
        let retry = subject::RetrySubject { endpoint, chat: "-", run: "live", sequence };
        jetstream.publish(retry.due(), "".into()).await.expect("NATS").await.expect("stored");
    }
    // Whoever asks for a bucket makes it.
    assert_eq!(api.get(&format!("{PATH}/{id}")).await.0, 200);
    let state = json!({"circuit": "half_open", "failingSince": "2026-11-24T13:00:00.000Z", "lastError": "status 500"});
    bucket(&nats, STATES_BUCKET).await.put(id.as_str(), state.to_string().into()).await.expect("stored");

    let (_, body) = api.get(&format!("{PATH}/{id}")).await;
    let data = &body["data"];
    assert_eq!(data["backlog"], json!({"pending": 2, "inFlight": 1, "waitingRetries": 2}));
    assert_eq!((&data["circuit"], &data["lastError"]), (&json!("half_open"), &json!("status 500")));
    assert_eq!(data["failingSince"], "2026-11-24T13:00:00.000Z");
}

#[tokio::test]
async fn what_is_no_endpoint_is_not_found() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let not_found = (404, json!({"success": false, "message": "Endpoint not found", "code": "endpoint_not_found"}));
    let unknown = EndpointId::random();
    for id in [unknown.as_str(), "a.b", "%20", "%FF", &"x".repeat(65)] {
        let path = format!("{PATH}/{id}");
        assert_eq!(api.get(&path).await, not_found, "{id}");
        assert_eq!(api.patch(&path, &json!({"description": "x"})).await, not_found, "{id}");
        assert_eq!(api.delete(&path).await, not_found, "{id}");
        for way in ["enable", "disable", "test", "secret/rotate"] {
            assert_eq!(api.post(&format!("{path}/{way}"), &json!({})).await, not_found, "{id} {way}");
        }
    }
    // Webhooks are disabled, so this one is none either.
    assert_eq!(api.get(&format!("{PATH}/default")).await, not_found);
    assert_eq!(api.post(&format!("{PATH}/default/test"), &json!({})).await, not_found);
}

#[tokio::test]
async fn ten_thousand_are_listed_and_no_more_are_taken() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let first = made(&api, &json!({"url": URL})).await;
    let settings = serde_json::to_vec(&EndpointSettings {
        created_at: "2026".to_owned(),
        ..EndpointSettings::new(URL.to_owned())
    });
    let settings = bytes::Bytes::from(settings.expect("JSON"));
    let jetstream = nats.jetstream().await;
    for chunk in (1..10_000_u32).collect::<Vec<_>>().chunks(500) {
        let mut waiting = Vec::new();
        for n in chunk {
            let subject = format!("$KV.{BUCKET}.ep_{n:05}");
            waiting.push(jetstream.publish(subject, settings.clone()).await.expect("NATS").into_future());
        }
        futures::future::try_join_all(waiting).await.expect("stored");
    }
    let (status, body) = api.post(PATH, &json!({"url": URL})).await;
    assert_eq!((status, &body["code"]), (409, &json!("too_many_endpoints")), "{body}");

    let began = Instant::now();
    let (_, page) = api.get(&format!("{PATH}?limit=1000&after=2026_ep_08999")).await;
    println!("a page of 10,000 took {:?}", began.elapsed());
    let data = page["data"].as_array().expect("a list");
    assert_eq!((data.len(), &data[0]["id"], &data[999]["id"]), (1000, &json!("ep_09000"), &json!("ep_09999")));
    let (_, last) = api.get(&format!("{PATH}?after={}", page["next"].as_str().expect("one is left"))).await;
    assert_eq!((&last["data"][0]["id"], &last["next"]), (&json!(first), &Value::Null));

    // A deleted one makes room, though its marker stays.
    assert_eq!(api.delete(&format!("{PATH}/ep_00001")).await.0, 200);
    assert_eq!(api.post(PATH, &json!({"url": URL})).await.0, 201);
    assert_eq!(api.post(PATH, &json!({"url": URL})).await.0, 409);
}

#[tokio::test]
async fn without_nats_every_route_says_so_within_five_seconds() {
    let mut nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let id = made(&api, &json!({"url": URL})).await;
    let one = format!("{PATH}/{id}");
    let calls = [
        (Method::GET, PATH.to_owned(), json!({})),
        (Method::POST, PATH.to_owned(), json!({"url": URL})),
        (Method::GET, one.clone(), json!({})),
        (Method::PATCH, one.clone(), json!({"description": "y", "enabled": true})),
        (Method::DELETE, one.clone(), json!({})),
        (Method::POST, format!("{one}/enable"), json!({})),
        (Method::POST, format!("{one}/disable"), json!({})),
        (Method::POST, format!("{one}/test"), json!({})),
        (Method::POST, format!("{one}/secret/rotate"), json!({})),
        (Method::GET, "/api/dead-letters".to_owned(), json!({})),
        (Method::GET, "/api/dead-letters/1".to_owned(), json!({})),
        (Method::DELETE, "/api/dead-letters/1".to_owned(), json!({})),
        (Method::POST, "/api/dead-letters/1/replay".to_owned(), json!({})),
        (Method::POST, "/api/dead-letters/replay".to_owned(), json!({"endpoint": id})),
        (Method::GET, "/api/replays".to_owned(), json!({})),
        (Method::POST, "/api/replays".to_owned(), json!({"endpoint": id, "since": "2026-01-01T00:00:00Z"})),
        (Method::GET, "/api/replays/rep_1".to_owned(), json!({})),
        (Method::DELETE, "/api/replays/rep_1".to_owned(), json!({})),
        (Method::GET, format!("/api/ledger?endpoint={id}"), json!({})),
    ];
    let all = || async {
        let asked = calls.iter().map(async |(method, path, body)| {
            let began = Instant::now();
            let request = api.request(method.clone(), path).header("X-API-Key", KEY).json(body);
            let (status, answer) = answer(request).await;
            let took = began.elapsed();
            assert_eq!((status, &answer["code"]), (503, &json!("broker_unavailable")), "{method} {path}: {answer}");
            assert!(took < Duration::from_secs(5), "{method} {path} took {took:?}");
        });
        futures::future::join_all(asked).await;
    };
    nats.pause();
    all().await;
    nats.resume();
    nats.kill().await;
    all().await;
    nats.start_again().await;
    until("the API to be ready", SOON, || async { api.get("/readyz").await.0 == 200 }).await;
    // Nothing of all that came after all.
    let (_, list) = api.get(PATH).await;
    let data = list["data"].as_array().expect("a list");
    assert_eq!((data.len(), &data[0]["description"], &data[0]["enabled"]), (1, &json!(""), &json!(true)), "{list}");
}
