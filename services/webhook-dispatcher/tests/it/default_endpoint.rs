//! The endpoint of `WEBHOOK_URL`: its settings, and which event is its first.

use crate::stage::{
    SOON, Stage,
    endpoints::{NO_DEFAULT, ids},
};
use kurir_contract::{
    clock,
    endpoint::{CircuitState, EndpointId, EndpointState},
};
use kurir_test_harness::{Answer, until};
use serde_json::json;
use std::time::Duration;
use time::OffsetDateTime;

const NEW: (&str, &str) = ("WEBHOOK_START", "new");

async fn publish(stage: &Stage, names: &str, numbers: std::ops::Range<usize>) {
    for number in numbers {
        stage.publish("test", &format!("evt_{names}_{number}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_before_it_was_set_is_not_sent_and_nothing_after_it_is_left_out() {
    let mut stage = Stage::set().await;
    // Webhooks were disabled so far.
    let mut before = stage.dispatcher_with([NO_DEFAULT]).await;
    publish(&stage, "old", 0..30).await;
    before.terminate(SOON).await;
    let mut dispatcher = stage.dispatcher_with([NEW]).await;
    publish(&stage, "new", 0..5).await;
    stage.receiver.wait_for(5, SOON).await;
    stage.settled(SOON).await;
    // Nothing is left out across any restart, also if the consumer is gone.
    dispatcher.kill_9().await;
    publish(&stage, "away", 0..5).await;
    dispatcher.start_again();
    stage.receiver.wait_for(10, SOON).await;
    stage.settled(SOON).await;
    dispatcher.terminate(SOON).await;
    let events = stage.jetstream.get_stream("EVENTS").await.unwrap();
    events.delete_consumer("webhook-default").await.unwrap();
    stage.nats.kill().await;
    stage.nats.start_again().await;
    stage.jetstream = stage.nats.jetstream().await;
    publish(&stage, "last", 0..1).await;
    dispatcher.start_again();
    let last = |requests: &[kurir_test_harness::Request]| {
        requests.iter().any(|request| request.header("webhook-id") == "evt_last_0")
    };
    stage.receiver.wait_until("the last event", SOON, last).await;
    assert!(ids(&stage.receiver).iter().all(|id| !id.starts_with("evt_old")), "{:?}", ids(&stage.receiver));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_events_are_sent_if_the_settings_say_so() {
    let stage = Stage::set().await;
    stage.make_events().await;
    publish(&stage, "old", 0..5).await;
    let _dispatcher = stage.dispatcher_with([("WEBHOOK_START", "all")]).await;
    stage.receiver.wait_for(5, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_of_the_environment_is_in_effect() {
    let stage = Stage::set().await;
    let _dispatcher = stage
        .dispatcher_with([
            ("WEBHOOK_RETRY", "1"),
            ("WEBHOOK_ORDERING", "chat"),
            ("WEBHOOK_RATE_LIMIT", "4"),
            ("WEBHOOK_HEADERS", "Authorization: Bearer secret; X-Tenant: blue"),
            ("WEBHOOK_EVENTS", "message.received"),
            ("WEBHOOK_FORMAT", "cloudevents"),
        ])
        .await;
    stage.receiver.answers([500_u16]);
    stage.publish("test", "evt_other").await;
    for number in 0..8 {
        let data = json!({"from": "chat", "number": number});
        stage.store("default", "message.received", &format!("evt_{number}"), data).await;
    }
    let requests = stage.receiver.wait_for(9, SOON).await;
    let order: Vec<_> = requests.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    let expected: Vec<_> = [0, 0, 1, 2, 3, 4, 5, 6, 7].map(|number| format!("evt_{number}")).to_vec();
    assert_eq!(order, expected);
    let first = &requests[0];
    assert_eq!((first.header("authorization"), first.header("x-tenant")), ("Bearer secret", "blue"));
    assert_eq!(first.header("ce-type"), "kurir.message.received");
    let took = requests[8].at - requests[1].at;
    assert!(took >= Duration::from_millis(1_600), "seven requests at four a second took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_changed_is_in_effect_at_once_and_the_environment_wins() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with([("WEBHOOK_FORMAT", "kurir")]).await;
    let id = EndpointId::default();
    until("its settings to be stored", SOON, || async { stage.stored(&id).await }).await;
    stage.change(&id, json!({"headers": {"x-tenant": "blue"}, "format": "cloudevents"})).await;
    let blue = |requests: &[kurir_test_harness::Request]| {
        requests.last().is_some_and(|request| request.header("x-tenant") == "blue")
    };
    let mut number = 0;
    until("the header to be sent", SOON, || {
        number += 1;
        let (stage, event) = (&stage, format!("evt_{number}"));
        async move {
            stage.publish("test", &event).await;
            stage.receiver.wait_for(number, SOON).await;
            blue(&stage.receiver.requests())
        }
    })
    .await;
    assert_eq!(stage.receiver.requests().last().unwrap().header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_warned_of_and_disabled_like_every_other() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.dispatcher_with([("WEBHOOK_DISABLE_AFTER", "8s"), ("WEBHOOK_RETRY", "none")]).await;
    stage.receiver.always(Answer::status(503));
    stage.publish("test", "evt_1").await;
    let id = EndpointId::default();
    let reason = stage.disabled(&id, Duration::from_secs(30)).await;
    assert!(reason.contains("503"), "{reason}");
    let failing = stage.told("endpoint.failing", 1, SOON).await;
    assert!(failing.iter().all(|told| told["endpoint"] == "default" && told["disabledAt"].is_string()), "{failing:?}");
    stage.told("endpoint.disabled", 1, SOON).await;
    dispatcher.terminate(SOON).await;
    dispatcher.start_again();
    dispatcher.wait_ready(SOON).await;
    stage.receiver.forget();
    stage.receiver.always(200_u16);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.receiver.count(), 0, "it stays disabled");
    stage.enable(&id).await;
    stage
        .receiver
        .wait_until("the event that waited", SOON, |requests| {
            requests.iter().any(|request| request.header("webhook-id") == "evt_1")
        })
        .await;
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_from_before_does_not_disable_it_at_a_start() {
    let stage = Stage::set().await;
    let id = EndpointId::default();
    let since = clock::iso(OffsetDateTime::now_utc() - time::Duration::days(9));
    let state = EndpointState { circuit: CircuitState::Open, failing_since: Some(since), ..EndpointState::default() };
    stage.put_state(&id, &state).await;
    let _dispatcher = stage.dispatcher().await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    until("no state to be left", SOON, || async { stage.state(&id).await.is_none() }).await;
    assert!(stage.events("endpoint.disabled").await.is_empty());
}
