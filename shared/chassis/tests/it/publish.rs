//! Storing a message in a stream, with a real broker that goes away, comes back and loses its streams.

use crate::{SOON, connect};
use async_nats::jetstream::stream::DiscardPolicy;
use kurir_chassis::{
    publish::{OutgoingMessage, PublishError},
    shutdown::CancellationToken,
};
use kurir_contract::stream;
use kurir_test_harness::{Nats, until};
use std::time::Duration;
use tokio::time::Instant;

const SUBJECT: &str = "whatsapp.events.default.message.received";

fn message(id: &str) -> OutgoingMessage {
    OutgoingMessage::new(SUBJECT, r#"{"event":"message.received"}"#).with_id(id)
}

async fn stored(nats: &Nats) -> u64 {
    nats.jetstream().await.get_stream(stream::EVENTS).await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn a_repeat_with_the_same_id_is_stored_once() {
    let nats = Nats::start().await;
    let broker = connect(&nats).await;
    let first = broker.publish_once(&message("evt_1")).await.unwrap();
    let second = broker.publish_until_stored(&message("evt_1"), Instant::now() + SOON).await.unwrap();
    assert_eq!((first.duplicate, second.duplicate, second.sequence), (false, true, first.sequence));
    assert_eq!(stored(&nats).await, 1);
}

#[tokio::test]
async fn a_missing_stream_is_made_by_the_publish_that_needs_it() {
    let nats = Nats::start().await;
    let broker = connect(&nats).await;
    broker.jetstream.delete_stream(stream::EVENTS).await.unwrap();
    broker.publish_once(&message("evt_1")).await.unwrap();
    assert_eq!(stored(&nats).await, 1);
}

#[tokio::test]
async fn nothing_is_handed_over_while_the_broker_is_away() {
    let mut nats = Nats::start().await;
    let broker = connect(&nats).await;
    nats.stop().await;
    until("the lost connection", SOON, || async { if broker.is_connected() { Err("connected") } else { Ok(()) } })
        .await;
    let error = broker.publish_once(&message("evt_1")).await.unwrap_err();
    assert!(matches!(error, PublishError::NotConnected), "{error}");
    nats.start_again().await;
    tokio::time::timeout(SOON, broker.wait_until_ready()).await.unwrap();
    // What the client had queued would be stored before this.
    broker.publish_once(&message("evt_2")).await.unwrap();
    assert_eq!(stored(&nats).await, 1);
}

#[tokio::test]
async fn an_outage_is_waited_for_until_the_deadline() {
    let mut nats = Nats::start().await;
    let broker = connect(&nats).await;
    nats.stop().await;
    until("the lost connection", SOON, || async { if broker.is_connected() { Err("connected") } else { Ok(()) } })
        .await;
    let began = Instant::now();
    let error = broker.publish_until_stored(&message("evt_1"), began + Duration::from_millis(500)).await.unwrap_err();
    assert!(matches!(error, PublishError::NotConnected), "{error}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());

    let waiting = {
        let broker = broker.clone();
        tokio::spawn(async move { broker.publish_until_stored(&message("evt_2"), Instant::now() + 3 * SOON).await })
    };
    nats.start_again().await;
    waiting.await.unwrap().unwrap();
    assert_eq!(stored(&nats).await, 1);
}

#[tokio::test]
async fn a_broker_that_does_not_answer_ends_a_try_within_the_promise_of_the_api() {
    let mut nats = Nats::start().await;
    let broker = connect(&nats).await;
    nats.pause();
    let began = Instant::now();
    let error = broker.publish_once(&message("evt_1")).await.unwrap_err();
    assert!(matches!(error, PublishError::NotAcknowledged), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    nats.resume();
}

#[tokio::test]
async fn a_cancelled_publish_ends_at_once() {
    let mut nats = Nats::start().await;
    let broker = connect(&nats).await;
    nats.stop().await;
    let shutdown = CancellationToken::new();
    let waiting = {
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            let message = message("evt_1");
            shutdown
                .run_until_cancelled(broker.publish_until_stored(&message, Instant::now() + 6 * SOON))
                .await
                .is_none()
        })
    };
    shutdown.cancel();
    assert!(tokio::time::timeout(SOON, waiting).await.unwrap().unwrap());
}

#[tokio::test]
async fn what_no_further_try_mends_ends_the_tries() {
    let nats = Nats::start().await;
    let broker = connect(&nats).await;
    let too_large = OutgoingMessage::new(SUBJECT, vec![b' '; broker.client.max_payload() + 1]);
    let began = Instant::now();
    let error = broker.publish_until_stored(&too_large, began + SOON).await.unwrap_err();
    assert!(matches!(error, PublishError::TooLarge), "{error}");
    assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_full_stream_refuses_and_takes_the_message_when_there_is_room() {
    let nats = Nats::start().await;
    let broker = connect(&nats).await;
    let mut config = broker.jetstream.get_stream(stream::EVENTS).await.unwrap().cached_info().config.clone();
    assert_eq!(config.discard, DiscardPolicy::New);
    config.max_messages = 1;
    broker.jetstream.update_stream(&config).await.unwrap();
    broker.publish_once(&message("evt_1")).await.unwrap();
    let error = broker.publish_once(&message("evt_2")).await.unwrap_err();
    assert!(matches!(error, PublishError::Full(_)), "{error}");

    let waiting = {
        let broker = broker.clone();
        tokio::spawn(async move { broker.publish_until_stored(&message("evt_2"), Instant::now() + SOON).await })
    };
    config.max_messages = 2;
    broker.jetstream.update_stream(&config).await.unwrap();
    waiting.await.unwrap().unwrap();
}
