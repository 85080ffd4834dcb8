//! A failed delivery is tried again on the contract's schedule, which NATS keeps.

use crate::stage::{AFTER_ALL_RETRIES, SOON, Stage};
use kurir_contract::stream;
use kurir_test_harness::{Answer, Request};
use std::time::Duration;

/// The times between requests.
fn gaps(requests: &[Request]) -> Vec<Duration> {
    requests.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

/// Never early. NATS' clock ticks every quarter of a second, and this machine has other work.
fn assert_schedule(gaps: &[Duration], expected_seconds: &[u64]) {
    eprintln!("gaps: {gaps:?}");
    assert_eq!(gaps.len(), expected_seconds.len());
    for (gap, seconds) in gaps.iter().zip(expected_seconds) {
        let due = Duration::from_secs(*seconds);
        assert!(*gap >= due && *gap < due + Duration::from_millis(1_500), "{gaps:?} instead of {expected_seconds:?} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_tried_again_after_2_and_4_seconds_under_the_same_id() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.dispatcher().await;
    stage.receiver.answers([500_u16, 500, 200]);
    let body = stage.publish("message.received", "evt_1").await;
    let requests = stage.receiver.wait_for(3, AFTER_ALL_RETRIES).await;
    assert_schedule(&gaps(&requests), &[2, 4]);
    for request in &requests {
        assert_eq!(request.header("webhook-id"), "evt_1");
        assert_eq!(request.body, body.to_string().as_bytes());
    }
    stage.settled(SOON).await;
    let attempts: Vec<_> = stage.recorded(3).await.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert!(stage.dead_letters().await.is_empty());
    for line in [
        "Webhook attempt 1 failed: the receiver answered 500",
        "Retrying webhook in 2000ms",
        "Sending webhook message.received (attempt 2/4)",
        "Retrying webhook in 4000ms",
        "Webhook sent successfully: message.received",
    ] {
        dispatcher.wait_for_line(|said| said.contains(line) && said.contains("webhook"), SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_fail_do_not_delay_fresh_ones() {
    let stage = Stage::set().await;
    // Fewer deliveries at once than there are failing events.
    let _dispatcher = stage.dispatcher_with([("WEBHOOK_CONCURRENCY", "4")]).await;
    stage.receiver.answer_with(|request| {
        if request.header("webhook-id").starts_with("bad") { Answer::status(500) } else { Answer::status(200) }
    });
    for number in 0..50 {
        stage.publish("test", &format!("bad_{number}")).await;
    }
    stage.publish("test", "good").await;
    let arrived = stage.receiver.wait_until("the good event", SOON, |requests| {
        requests.iter().any(|request| request.header("webhook-id") == "good")
    });
    // Before the first failing event is tried a second time.
    let before = arrived.await;
    let good = before.iter().find(|request| request.header("webhook-id") == "good").unwrap();
    assert!(good.at - before[0].at < Duration::from_secs(2));
    stage.settled(AFTER_ALL_RETRIES).await;
    assert_eq!(stage.receiver.count(), 50 * 4 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_goes_on_when_nats_is_killed_in_a_retry_wait() {
    let mut stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.answers([500_u16, 500, 200]);
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(2, SOON).await;
    // The third attempt is due in 4 s.
    stage.recorded(2).await;
    stage.nats.kill().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.nats.start_again().await;
    let requests = stage.receiver.wait_for(3, SOON).await;
    let gaps = gaps(&requests);
    eprintln!("gaps: {gaps:?}");
    assert!(gaps[1] >= Duration::from_secs(4) && gaps[1] < Duration::from_secs(8), "{gaps:?}");
    stage.settled(SOON).await;
    assert_eq!(stage.receiver.count(), 3);
    assert!(requests.iter().all(|request| request.header("webhook-id") == "evt_1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_goes_on_when_the_dispatcher_is_killed_in_a_retry_wait() {
    let stage = Stage::set().await;
    let mut first = stage.dispatcher().await;
    stage.receiver.answers([500_u16, 200]);
    stage.publish("test", "evt_1").await;
    stage.recorded(1).await;
    first.kill_9().await;
    let _second = stage.dispatcher().await;
    let requests = stage.receiver.wait_for(2, SOON).await;
    assert_schedule(&gaps(&requests), &[2]);
    stage.settled(SOON).await;
    assert_eq!(stage.receiver.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_whose_event_is_gone_is_a_dead_letter() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.always(500_u16);
    stage.publish("message.received", "evt_1").await;
    stage.recorded(1).await;
    stage.jetstream.get_stream(stream::EVENTS).await.unwrap().purge().await.unwrap();
    stage.settled(SOON).await;
    let letters = stage.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].event_id.as_str(), letters[0].event.as_str()), ("evt_1", "message.received"));
    assert_eq!((letters[0].attempts, letters[0].payload.as_str()), (1, ""));
    assert!(letters[0].reason.contains("no longer in EVENTS"), "{}", letters[0].reason);
    assert_eq!(stage.receiver.count(), 1);
    assert_eq!(stage.events("error.occurred").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_message_among_the_retries_is_dropped() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.jetstream.publish("whatsapp.retries.due.default.x", "?".into()).await.unwrap().await.unwrap();
    stage.settled(SOON).await;
    assert_eq!(stage.receiver.count(), 0);
}
