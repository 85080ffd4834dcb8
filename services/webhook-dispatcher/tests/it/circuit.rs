//! A receiver is down: its events wait untouched, and a probe tests from time to time whether it is back. If it never
//! is, the endpoint is disabled and its events go on waiting.

use crate::{
    metrics::shows,
    stage::{
        SOON, Stage,
        endpoints::{NO_DEFAULT, arrivals},
    },
};
use kurir_contract::{
    clock,
    endpoint::{CircuitState, EndpointId, EndpointState},
};
use kurir_test_harness::{Answer, Port, until};
use serde_json::json;
use std::time::Duration;
use time::OffsetDateTime;

/// A circuit opens after 30 s of failures.
const OPENS_WITHIN: Duration = Duration::from_secs(60);
/// The pauses between the probes, and the 30 s that a failed probe's event waits.
const RECOVERS_WITHIN: Duration = Duration::from_secs(90);
/// Longer than the time until the circuit opens: no event is given up before.
const LONG: [u64; 12] = [5; 12];

async fn is_open(stage: &Stage, id: &EndpointId) -> EndpointState {
    until("the circuit to open", OPENS_WITHIN, || async {
        stage.state(id).await.filter(|state| state.circuit == CircuitState::Open).ok_or("no open circuit")
    })
    .await
}

async fn publish(stage: &Stage, numbers: std::ops::Range<usize>) {
    for number in numbers {
        stage.publish("test", &format!("evt_{number}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receivers_events_wait_and_all_are_delivered_once_it_is_back() {
    let mut stage = Stage::set().await;
    let ports = [Port::reserve(), Port::reserve()];
    let [one, other] = ports.each_ref().map(|port| port.addr().to_string());
    let _dispatchers = (
        stage.dispatcher_with([NO_DEFAULT, ("HEALTH_LISTEN", &one)]).await,
        stage.dispatcher_with([NO_DEFAULT, ("HEALTH_LISTEN", &other)]).await,
    );
    stage.receiver.stop().await;
    let id = stage.endpoint(json!({"retry": LONG, "events": ["test"]})).await;
    publish(&stage, 0..30).await;
    let state = is_open(&stage, &id).await;
    assert!(state.failing_since.is_some() && state.last_error.is_some(), "{state:?}");
    // The circuit of one dispatcher opens the other's, too.
    for listen in [&one, &other] {
        shows(listen, &format!(r#"kurir_webhook_circuit{{endpoint="{id}"}} 2"#)).await;
    }
    // Fresh events. Only a probe now and then is sent.
    publish(&stage, 30..330).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(stage.unsettled_of(&id).await > Some(280), "{:?}", stage.unsettled_of(&id).await);
    assert!(stage.dead_letters().await.is_empty());

    stage.receiver.start_again();
    let told = stage.told("endpoint.recovered", 1, RECOVERS_WITHIN).await;
    assert_eq!(told[0]["endpoint"], json!(id));
    stage.all_settled(&[&id], RECOVERS_WITHIN).await;
    for listen in [&one, &other] {
        shows(listen, &format!(r#"kurir_webhook_circuit{{endpoint="{id}"}} 0"#)).await;
    }
    let arrivals = arrivals(&[&stage.receiver]);
    assert_eq!(arrivals.len(), 330);
    assert!(arrivals.values().all(|&count| count == 1), "{arrivals:?}");
    assert!(stage.dead_letters().await.is_empty());
    until("no state to be left", RECOVERS_WITHIN, || async { stage.state(&id).await.is_none() }).await;
    // One event, however many dispatchers saw the recovery.
    let recovered = stage.events("endpoint.recovered").await;
    assert!(recovered.iter().all(|event| !event["data"]["failingSince"].is_null()), "{recovered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_circuit_outlives_nats_and_its_dispatcher() {
    let mut stage = Stage::set().await;
    let mut dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.stop().await;
    let id = stage.endpoint(json!({"retry": LONG, "events": ["test"]})).await;
    publish(&stage, 0..30).await;
    is_open(&stage, &id).await;
    dispatcher.kill_9().await;
    stage.nats.kill().await;
    stage.nats.start_again().await;
    stage.jetstream = stage.nats.jetstream().await;
    publish(&stage, 30..60).await;
    stage.receiver.start_again();
    dispatcher.start_again();
    stage.told("endpoint.recovered", 1, RECOVERS_WITHIN).await;
    stage.all_settled(&[&id], RECOVERS_WITHIN).await;
    assert_eq!(arrivals(&[&stage.receiver]).len(), 60);
    assert!(stage.dead_letters().await.is_empty() && stage.state(&id).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_a_receiver_cannot_bear_does_not_keep_its_circuit_open() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.always(500_u16);
    // One at a time: the event that always fails is the first.
    let id = stage.endpoint(json!({"retry": LONG, "concurrency": 1, "events": ["test"]})).await;
    stage.publish("test", "poison").await;
    publish(&stage, 0..20).await;
    is_open(&stage, &id).await;
    stage
        .receiver
        .answer_with(|request| Answer::status(if request.header("webhook-id") == "poison" { 500 } else { 200 }));
    publish(&stage, 20..40).await;
    let all = "all but the poison";
    let others = |requests: &[kurir_test_harness::Request]| {
        let fine = requests.iter().filter(|request| request.header("webhook-id") != "poison");
        fine.map(|request| request.header("webhook-id")).collect::<std::collections::HashSet<_>>().len() == 40
    };
    stage.receiver.wait_until(all, RECOVERS_WITHIN, others).await;
    stage.told("endpoint.recovered", 1, SOON).await;
    assert!(stage.dead_letters().await.iter().all(|letter| letter.event_id.as_str() == "poison"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_for_too_long_is_warned_of_and_disabled_with_its_events_waiting() {
    let mut stage = Stage::set().await;
    // The time counts from the first failure; the circuit opens 15 s after it.
    let settings = [NO_DEFAULT, ("WEBHOOK_DISABLE_AFTER", "30s")];
    let _dispatchers = (stage.dispatcher_with(settings).await, stage.dispatcher_with(settings).await);
    stage.receiver.stop().await;
    let id = stage.endpoint(json!({"retry": LONG})).await;
    publish(&stage, 0..30).await;
    is_open(&stage, &id).await;
    publish(&stage, 30..60).await;
    let reason = stage.disabled(&id, Duration::from_secs(60)).await;
    assert!(!reason.is_empty() && !reason.contains("webhook"), "{reason}");
    let failing = stage.told("endpoint.failing", 2, SOON).await;
    let disabled = stage.told("endpoint.disabled", 1, SOON).await;
    assert!(failing.iter().all(|told| told["endpoint"] == json!(id) && told["disabledAt"].is_string()), "{failing:?}");
    assert!(disabled[0]["failingSince"].is_string(), "{disabled:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((stage.events("endpoint.failing").await.len(), stage.events("endpoint.disabled").await.len()), (2, 1));
    assert!(stage.state(&id).await.is_none() && stage.dead_letters().await.is_empty());

    stage.receiver.start_again();
    stage.enable(&id).await;
    stage.all_settled(&[&id], RECOVERS_WITHIN).await;
    let arrivals = arrivals(&[&stage.receiver]);
    assert_eq!(arrivals.len(), 60);
    assert!(arrivals.values().all(|&count| count == 1), "{arrivals:?}");
}

fn failing_for(seconds: i64) -> EndpointState {
    EndpointState {
        circuit: CircuitState::Open,
        failing_since: Some(clock::iso(OffsetDateTime::now_utc() - time::Duration::seconds(seconds))),
        last_error: Some("the receiver answered 500".to_owned()),
        ..EndpointState::default()
    }
}

/// The dispatcher whose circuit was open has ended: no circuit closes, and yet the endpoint works.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_works_again_after_a_restart_is_not_disabled() {
    let stage = Stage::set().await;
    let id = stage.endpoint(json!({"startSequence": 1})).await;
    stage.put_state(&id, &failing_for(0)).await;
    let settings = [NO_DEFAULT, ("WEBHOOK_DISABLE_AFTER", "20s")];
    let _dispatchers = (stage.dispatcher_with(settings).await, stage.dispatcher_with(settings).await);
    stage.publish("test", "evt_1").await;
    stage.told("endpoint.recovered", 1, SOON).await;
    until("no state to be left", SOON, || async { stage.state(&id).await.is_none() }).await;
    stage.all_settled(&[&id], SOON).await;
    assert!(stage.settings(&id).await.enabled);
    assert!(stage.events("endpoint.disabled").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_given_another_url_begins_anew() {
    let mut stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with([NO_DEFAULT, ("WEBHOOK_DISABLE_AFTER", "1h")]).await;
    let url = stage.receiver.url();
    stage.receiver.stop().await;
    let id = stage.endpoint(json!({"retry": LONG, "events": ["test"]})).await;
    publish(&stage, 0..30).await;
    is_open(&stage, &id).await;
    stage.receiver.start_again();
    stage.change(&id, json!({"url": format!("{url}/new")})).await;
    until("no state to be left", SOON, || async { stage.state(&id).await.is_none() }).await;
    publish(&stage, 30..60).await;
    stage.all_settled(&[&id], RECOVERS_WITHIN).await;
    let arrivals = arrivals(&[&stage.receiver]);
    assert!(arrivals.len() == 60 && arrivals.values().all(|&count| count == 1), "{arrivals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_endpoint_that_is_deleted_or_disabled_nothing_more_is_told() {
    let stage = Stage::set().await;
    let settings = [NO_DEFAULT, ("WEBHOOK_DISABLE_AFTER", "20s")];
    let _dispatcher = stage.dispatcher_with(settings).await;
    let (deleted, disabled) = (stage.endpoint(json!({})).await, stage.endpoint(json!({"enabled": false})).await);
    stage.delete(&deleted).await;
    for id in [&deleted, &disabled] {
        stage.put_state(id, &failing_for(60)).await;
    }
    for id in [&deleted, &disabled] {
        until("its state to be gone", SOON, || async { stage.state(id).await.is_none() }).await;
    }
    for kind in ["endpoint.failing", "endpoint.disabled", "endpoint.recovered"] {
        assert!(stage.events(kind).await.is_empty(), "{kind}");
    }
}
