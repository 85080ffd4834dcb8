//! SIGTERM drains: what was started ends, the rest is given back at once.

use crate::stage::{SHORT_ACK_WAIT, SOON, Stage};
use kurir_test_harness::Answer;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_that_stops_finishes_what_it_has_begun_and_exits_with_0() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.dispatcher().await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_secs(2)));
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    let status = dispatcher.terminate(SOON).await;
    assert_eq!(status.code(), Some(0));
    stage.settled(SOON).await;
    assert_eq!(stage.recorded(1).await.len(), 1);
    assert_eq!(stage.receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_under_load_repeats_nothing_and_delays_nothing_by_ack_wait() {
    const EVENTS: usize = 400;
    let stage = Stage::set().await;
    let mut first = stage.dispatcher().await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(100)));
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(EVENTS / 4, SOON).await;
    let second = stage.dispatcher().await;
    assert_eq!(first.terminate(SOON).await.code(), Some(0));
    let stopped = Instant::now();
    stage.settled(SOON).await;
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
    let mut requests: HashMap<String, usize> = HashMap::new();
    for request in stage.receiver.requests() {
        *requests.entry(request.header("webhook-id").to_owned()).or_default() += 1;
    }
    assert_eq!(requests.len(), EVENTS);
    assert!(requests.values().all(|&count| count == 1));
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_within_the_drain_is_given_back_at_once() {
    let stage = Stage::set().await;
    let settings = [("WEBHOOK_TIMEOUT", "5s"), ("DRAIN_TIMEOUT", "5s"), ("WEBHOOK_ACK_WAIT", "600s")];
    let mut first = stage.dispatcher_with(settings).await;
    // It takes its whole timeout to fail. The drain is over before its retry is stored.
    stage.receiver.answers([Answer::Hang]);
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    assert_eq!(first.terminate(SOON).await.code(), Some(0));
    let _second = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    stage.settled(SOON).await;
    assert_eq!(stage.receiver.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_attempt_that_is_under_way_is_not_cut() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_secs(18)));
    let id = stage.endpoint(serde_json::json!({"timeoutSeconds": 60})).await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    assert_eq!(dispatcher.terminate(Duration::from_secs(40)).await.code(), Some(0));
    dispatcher.start_again();
    dispatcher.wait_ready(SOON).await;
    stage.all_settled(&[&id], SOON).await;
    assert_eq!(stage.receiver.count(), 1);
}
