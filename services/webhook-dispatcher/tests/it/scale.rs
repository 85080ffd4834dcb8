//! Many endpoints, and dispatchers that start and stop at any time.

use crate::stage::{
    SHORT_ACK_WAIT, SOON, Stage,
    endpoints::{NO_DEFAULT, arrivals},
};
use kurir_contract::endpoint::EndpointId;
use kurir_test_harness::{Answer, Process, until};
use serde_json::json;
use std::time::Duration;

const SETTINGS: [(&str, &str); 3] = [NO_DEFAULT, SHORT_ACK_WAIT[0], SHORT_ACK_WAIT[1]];

/// Makes this many endpoints at one receiver, each with its name as the path.
async fn endpoints(stage: &Stage, count: usize) -> Vec<EndpointId> {
    let mut endpoints = Vec::new();
    for number in 0..count {
        let url = format!("http://{}/{number}", stage.receiver.addr());
        endpoints.push(stage.endpoint(json!({"url": url})).await);
    }
    endpoints
}

async fn settled(stage: &Stage, endpoints: &[EndpointId], within: Duration) {
    stage.all_settled(&endpoints.iter().collect::<Vec<_>>(), within).await;
}

async fn publish(stage: &Stage, numbers: std::ops::Range<usize>) {
    for number in numbers {
        stage.publish("test", &format!("evt_{number}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_dispatchers_with_50_endpoints_one_is_killed_and_every_event_arrives() {
    const ENDPOINTS: usize = 50;
    const EVENTS: usize = 40;
    let stage = Stage::set().await;
    let mut first = stage.dispatcher_with(SETTINGS).await;
    let _second = stage.dispatcher_with(SETTINGS).await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(200)));
    let endpoints = endpoints(&stage, ENDPOINTS).await;
    publish(&stage, 0..EVENTS).await;
    stage.receiver.wait_for(ENDPOINTS * 4, SOON).await;
    first.kill_9().await;
    // Six seconds of `ack_wait`, and the time of the deliveries.
    settled(&stage, &endpoints, SOON).await;
    let arrivals = arrivals(&[&stage.receiver]);
    assert_eq!(arrivals.len(), EVENTS);
    assert!(arrivals.values().all(|&count| count >= ENDPOINTS), "{arrivals:?}");
    let delivered: std::collections::HashSet<_> = stage
        .receiver
        .requests()
        .into_iter()
        .map(|request| (request.path.clone(), request.header("webhook-id").to_owned()))
        .collect();
    assert_eq!(delivered.len(), ENDPOINTS * EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn dispatchers_join_and_leave_and_each_event_arrives_once() {
    const ENDPOINTS: usize = 10;
    let stage = Stage::set().await;
    let mut dispatchers: Vec<Process> = vec![stage.dispatcher_with(SETTINGS).await];
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(50)));
    let endpoints = endpoints(&stage, ENDPOINTS).await;
    for round in 0..4 {
        publish(&stage, round * 50..(round + 1) * 50).await;
        dispatchers.push(stage.dispatcher_with(SETTINGS).await);
        let status = dispatchers.remove(0).terminate(SOON).await;
        assert_eq!(status.code(), Some(0));
    }
    settled(&stage, &endpoints, SOON).await;
    let arrivals = arrivals(&[&stage.receiver]);
    assert_eq!(arrivals.len(), 200);
    assert!(arrivals.values().all(|&count| count == ENDPOINTS), "{arrivals:?}");
}

/// The dispatcher that stored the first retry of an endpoint dies before any dispatcher takes retries.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_retry_is_made_although_its_dispatcher_died_right_after_it_was_kept() {
    for _ in 0..3 {
        let stage = Stage::set().await;
        let mut first = stage.dispatcher_with(SETTINGS).await;
        stage.receiver.answers([500_u16]);
        let id = stage.endpoint(json!({"retry": [2]})).await;
        stage.publish("test", "evt_1").await;
        until("its retry to be kept", SOON, || async { stage.retries().await == 1 }).await;
        first.kill_9().await;
        let retries = stage.jetstream.get_stream("RETRIES").await.unwrap();
        retries.consumer_info(id.retries_consumer_name()).await.unwrap();
        let _second = stage.dispatcher_with(SETTINGS).await;
        stage.receiver.wait_for(2, SOON).await;
        stage.all_settled(&[&id], SOON).await;
        assert_eq!(arrivals(&[&stage.receiver]).len(), 1);
    }
}
