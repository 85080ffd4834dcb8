//! The dispatcher waits for a broker that is away. When the broker is back, everything goes on by itself.

use crate::stage::{SHORT_ACK_WAIT, SOON, Stage};
use kurir_contract::stream;
use kurir_test_harness::until;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_starts_without_nats_and_works_when_it_comes() {
    let mut stage = Stage::set().await;
    stage.nats.stop().await;
    let mut dispatcher = stage.start([]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(dispatcher.is_running());
    assert!(!dispatcher.output().lines().any(|line| line == "ready"));
    stage.nats.start_again().await;
    dispatcher.wait_ready(SOON).await;
    stage.jetstream = stage.nats.jetstream().await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_go_on_within_seconds_after_an_outage() {
    let mut stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    stage.nats.kill().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    stage.nats.start_again().await;
    stage.jetstream = stage.nats.jetstream().await;
    stage.publish("test", "evt_2").await;
    stage.receiver.wait_for(2, Duration::from_secs(4)).await;
    // NATS may have forgotten the first acknowledgement. The dispatcher has not.
    stage.settled(SOON).await;
    assert_eq!(stage.receiver.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_or_a_consumer_that_was_deleted_is_made_again() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;

    let events = stage.jetstream.get_stream(stream::EVENTS).await.unwrap();
    events.delete_consumer("webhook-default").await.unwrap();
    stage.publish("test", "evt_2").await;
    // The new consumer starts at the first stored event again. The dispatcher remembers what it has settled.
    stage.receiver.wait_for(2, SOON).await;
    stage.settled(SOON).await;
    assert_eq!(stage.receiver.count(), 2);

    for stream in [stream::EVENTS, stream::RETRIES, stream::DELIVERIES, stream::DEAD_LETTERS] {
        stage.jetstream.delete_stream(stream).await.unwrap();
    }
    until("EVENTS to be made again", SOON, || stage.jetstream.get_stream(stream::EVENTS)).await;
    // Its sequence is that of the old stream's first event, which was delivered.
    stage.receiver.answers([500_u16]);
    stage.publish("test", "evt_3").await;
    // Beside it comes the event that tells of the new stream.
    let requests = stage.receiver.wait_for(5, SOON).await;
    let of_tests: Vec<_> = requests[2..].iter().filter(|request| request.json()["event"] == "test").collect();
    assert!(!of_tests.is_empty() && of_tests.iter().all(|request| request.header("webhook-id") == "evt_3"));
    stage.settled(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_cannot_be_stored_at_once_is_stored_when_the_broker_is_back() {
    let mut stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.answers([kurir_test_harness::Answer::status(500).slow(Duration::from_secs(2))]);
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    stage.nats.kill().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    stage.nats.start_again().await;
    stage.jetstream = stage.nats.jetstream().await;
    stage.receiver.wait_for(2, SOON).await;
    stage.settled(SOON).await;
    assert_eq!(stage.receiver.count(), 2);
    assert_eq!(stage.recorded(2).await.iter().map(|attempt| attempt.attempt).max(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_after_a_quiet_minute_is_delivered_at_once() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    // Longer than NATS keeps a pull request: the dispatcher must have made two new ones.
    tokio::time::sleep(Duration::from_secs(65)).await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_that_lacks_what_kurir_needs_is_told_of_and_the_dispatcher_is_not_ready() {
    let folder = std::env::temp_dir().join(format!("kurir-nats-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, configuration, told) in [
        ("off.conf", "", "JetStream is off in NATS: start nats-server with -js"),
        ("small.conf", "max_payload: 4096\njetstream {}\n", "max_payload of NATS is 4096 bytes"),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, configuration).unwrap();
        let nats = kurir_test_harness::Nats::start_with(path).await;
        let environment =
            [("NATS_URL", nats.url()), ("WEBHOOK_URL", "http://127.0.0.1:9/".to_owned()), ("LOG_FILE", String::new())];
        let binary = env!("CARGO_BIN_EXE_kurir-webhook-dispatcher");
        let mut dispatcher = kurir_test_harness::Process::spawn("webhook-dispatcher", binary, environment);
        dispatcher.wait_for_line(|line| line.contains(told), SOON).await;
        assert!(!dispatcher.output().lines().any(|line| line == "ready"));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
