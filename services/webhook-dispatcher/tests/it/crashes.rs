//! A dispatcher or a broker that dies in the middle of its work loses nothing and multiplies nothing.

use crate::stage::{AFTER_ALL_RETRIES, SHORT_ACK_WAIT, SOON, Stage};
use kurir_contract::{endpoint::EndpointId, header, subject::RetrySubject};
use kurir_test_harness::{Answer, until};
use std::{collections::HashMap, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_killed_in_the_middle_of_a_delivery_leaves_it_to_another() {
    let stage = Stage::set().await;
    stage.receiver.answers([Answer::Hang]);
    let mut first = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    first.kill_9().await;
    let _second = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    let requests = stage.receiver.wait_for(2, SOON).await;
    assert_eq!(requests[1].header("webhook-id"), "evt_1");
    // A crash is no failed attempt.
    stage.settled(SOON).await;
    assert_eq!(stage.recorded(1).await[0].attempt, 1);
    assert_eq!(stage.receiver.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_killed_in_the_middle_of_a_delivery_delivers_after_its_restart() {
    let stage = Stage::set().await;
    stage.receiver.answers([Answer::Hang]);
    let mut dispatcher = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    dispatcher.kill_9().await;
    dispatcher.start_again();
    stage.receiver.wait_for(2, SOON).await;
    stage.settled(SOON).await;
}

/// After a crash between "the retry is stored" and "the event is acknowledged", the next dispatcher receives the event
/// again while RETRIES holds its retry.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_back_while_its_retry_is_kept_is_not_tried_beside_it() {
    let stage = Stage::set().await;
    let mut first = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    stage.receiver.answers([Answer::Hang]);
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    first.kill_9().await;
    keep_retry(&stage, 1, "evt_1", 2, Duration::from_secs(12)).await;

    let _second = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    until("the event to be settled", SOON, || async { stage.unsettled().await == 0 }).await;
    // It was acknowledged without a request. The retry comes in its time.
    assert_eq!((stage.receiver.count(), stage.retries().await), (1, 1));
    stage.settled(SOON).await;
    let attempts: Vec<_> = stage.recorded(1).await.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!((stage.receiver.count(), attempts), (2, vec![2]));
}

/// The same one attempt later: the due retry is handed out again while its successor is stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_comes_back_while_its_successor_is_kept_is_not_made_beside_it() {
    let stage = Stage::set().await;
    let mut first = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    stage.receiver.answers([Answer::status(500), Answer::Hang]);
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(2, SOON).await;
    first.kill_9().await;
    keep_retry(&stage, 1, "evt_1", 3, Duration::from_secs(12)).await;

    let _second = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    until("only the successor to be left", SOON, || async { stage.retries().await == 1 }).await;
    assert_eq!(stage.receiver.count(), 2);
    stage.settled(SOON).await;
    let attempts: Vec<_> = stage.recorded(2).await.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!((stage.receiver.count(), attempts), (3, vec![1, 3]));
}

/// After a crash between "the dead letter is stored" and the acknowledgement, the last attempt is made again, and
/// neither the letter nor the error is stored again.
#[tokio::test(flavor = "multi_thread")]
async fn a_last_attempt_that_is_repeated_is_buried_once() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    stage.receiver.always(500_u16);
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(4, AFTER_ALL_RETRIES).await;
    stage.settled(SOON).await;
    keep_retry(&stage, 1, "evt_1", 4, Duration::ZERO).await;
    stage.receiver.wait_for(5, SOON).await;
    stage.settled(SOON).await;
    assert_eq!(stage.dead_letters().await.len(), 1);
    assert_eq!(stage.events("error.occurred").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_killed_under_load_costs_no_event_and_few_repeats() {
    const EVENTS: usize = 2_000;
    let mut stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(10)));
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
        if number == EVENTS / 2 {
            stage.nats.kill().await;
            stage.nats.start_again().await;
            let client = stage.nats.client().await;
            stage.jetstream = async_nats::jetstream::new(client);
        }
    }
    stage.settled(AFTER_ALL_RETRIES).await;
    let mut requests: HashMap<String, usize> = HashMap::new();
    for request in stage.receiver.requests() {
        *requests.entry(request.header("webhook-id").to_owned()).or_default() += 1;
    }
    let repeats = requests.values().filter(|&&count| count > 1).count();
    assert_eq!(requests.len(), EVENTS);
    // The dispatcher that settled an event remembers it, even if NATS does not.
    assert_eq!(repeats, 0, "{:?}", requests.iter().filter(|(_, count)| **count > 1).collect::<Vec<_>>());
}

/// Stores a retry in RETRIES as a dispatcher does.
async fn keep_retry(stage: &Stage, sequence: u64, event_id: &str, attempt: u32, after: Duration) {
    let endpoint = EndpointId::default();
    let retry = RetrySubject { endpoint: &endpoint, chat: "-", run: "live", sequence };
    let at = time::OffsetDateTime::now_utc() + after;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(header::SCHEDULE, format!("@at {}", kurir_contract::clock::iso(at)));
    headers.insert(header::SCHEDULE_TARGET, retry.due());
    headers.insert(header::KURIR_EVENT_ID, event_id);
    headers.insert(header::EVENT_SUBJECT, "whatsapp.events.default.test");
    headers.insert(header::ATTEMPT, attempt.to_string());
    stage.jetstream.publish_with_headers(retry.waiting(), headers, "".into()).await.unwrap().await.unwrap();
}
