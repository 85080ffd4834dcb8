//! Which endpoint receives an event: by session, by event type, by content, and the test of one endpoint.

use crate::stage::{SOON, Stage, endpoints::ids};
use kurir_contract::{delivery::AttemptResult, endpoint::EndpointId, header, subject};
use kurir_test_harness::Receiver;
use serde_json::{Value, json};

const ADA: &str = "491700000001@s.whatsapp.net";
const GROUP: &str = "120363000000000001@g.us";

async fn endpoint(stage: &Stage, mut settings: Value) -> (EndpointId, Receiver) {
    let receiver = Receiver::start().await;
    settings["url"] = receiver.url().into();
    (stage.endpoint(settings).await, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_endpoint_gets_the_sessions_and_types_that_it_wants() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let mut endpoints = Vec::new();
    for (settings, expected) in [
        (json!({}), vec!["d-call", "d-in", "d-out", "s-call", "s-in"]),
        (json!({"events": ["message.*"]}), vec!["d-in", "d-out", "s-in"]),
        (json!({"events": ["message.received", "call.*"]}), vec!["d-call", "d-in", "s-call", "s-in"]),
        (json!({"sessions": ["sales"]}), vec!["s-call", "s-in"]),
        (json!({"sessions": ["sales", "other"], "events": ["message.*", "message.received"]}), vec!["s-in"]),
        (json!({"sessions": ["default"], "events": ["call.received"]}), vec!["d-call"]),
        (json!({"events": ["group.updated"]}), vec![]),
    ] {
        endpoints.push((endpoint(&stage, settings.clone()).await, settings, expected));
    }
    for (session, kind, id) in [
        ("default", "message.received", "d-in"),
        ("default", "message.sent", "d-out"),
        ("default", "call.received", "d-call"),
        ("sales", "message.received", "s-in"),
        ("sales", "call.received", "s-call"),
    ] {
        stage.store(session, kind, id, json!({})).await;
    }
    for ((id, receiver), settings, expected) in &endpoints {
        stage.all_settled(&[id], SOON).await;
        assert_eq!(ids(receiver), *expected, "{settings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_wanted_is_recorded_as_filtered_and_not_sent() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let mut endpoints = Vec::new();
    for (filter, expected) in [
        (json!({}), vec!["direct", "group", "sent", "status"]),
        (json!({"chats": [ADA]}), vec!["direct", "sent", "status"]),
        (json!({"senders": [ADA]}), vec!["direct", "group", "sent", "status"]),
        (json!({"chatType": "group"}), vec!["group", "status"]),
        (json!({"chatType": "direct", "fromMe": false}), vec!["direct", "status"]),
        (json!({"fromMe": true}), vec!["sent", "status"]),
    ] {
        endpoints.push((endpoint(&stage, json!({"filter": filter})).await, filter, expected));
    }
    stage.store("default", "message.received", "direct", json!({"from": ADA})).await;
    stage.store("default", "message.received", "group", json!({"from": GROUP, "participant": ADA})).await;
    stage.store("default", "message.sent", "sent", json!({"to": ADA})).await;
    stage.store("default", "connection.status", "status", json!({"isConnected": true})).await;
    for ((id, receiver), filter, expected) in &endpoints {
        stage.all_settled(&[id], SOON).await;
        assert_eq!(ids(receiver), *expected, "{filter}");
        let attempts = stage.recorded_of(id, 4).await;
        let filtered = attempts.iter().filter(|attempt| attempt.result == by("content")).count();
        assert_eq!((attempts.len(), filtered), (4, 4 - expected.len()), "{filter}");
    }
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_one_endpoint_reaches_it_whatever_it_wants_and_no_other() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    let wants_little = json!({"sessions": ["sales"], "events": ["call.*"], "filter": {"chats": [ADA]}});
    let (tested, receiver) = endpoint(&stage, wants_little).await;
    let (all, others) = endpoint(&stage, json!({})).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(header::EVENT_ID, "evt_1");
    headers.insert(header::ONLY_FOR, tested.as_str());
    let body = json!({"event": "test", "data": {"from": GROUP}}).to_string();
    let subject = subject::test_of_endpoint(&tested);
    stage.jetstream.publish_with_headers(subject, headers, body.into()).await.unwrap().await.unwrap();
    receiver.wait_for(1, SOON).await;
    stage.all_settled(&[&tested, &all, &EndpointId::default()], SOON).await;
    assert_eq!((receiver.count(), others.count(), stage.receiver.count()), (1, 0, 0));
    assert_eq!(stage.recorded_of(&all, 1).await[0].result, by("about"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_an_endpoint_reaches_all_others() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let (about, receiver) = endpoint(&stage, json!({})).await;
    let (other, others) = endpoint(&stage, json!({})).await;
    stage.publish_with("error.occurred", &[(header::EVENT_ID, "evt_1"), (header::NOT_FOR, about.as_str())]).await;
    others.wait_for(1, SOON).await;
    stage.all_settled(&[&about, &other], SOON).await;
    assert_eq!((receiver.count(), others.count()), (0, 1));
}

fn by(by: &str) -> AttemptResult {
    AttemptResult::Filtered { by: by.to_owned() }
}
