//! A stream of Kurir's that is full stops no delivery, and makes no attempt twice: what cannot be stored is stored later.

use crate::stage::{
    SHORT_ACK_WAIT, SOON, Stage,
    endpoints::{NO_DEFAULT, arrivals},
};
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use kurir_contract::stream;
use kurir_test_harness::{Process, Receiver, until};
use serde_json::json;
use std::time::Duration;

/// Longer than the time after which the attempt was made again before: `ack_wait` and the pause.
const FULL: Duration = Duration::from_secs(25);

impl Stage {
    /// Lets a stream hold so many messages more, none: without a limit.
    async fn limit(&self, name: &str, more: Option<i64>) {
        let stream = self.jetstream.get_stream(name).await.unwrap();
        let (config, state) = (stream.cached_info().config.clone(), stream.cached_info().state.clone());
        let max_messages = more.map_or(-1, |more| state.messages as i64 + more);
        let config = Config { max_messages, discard: DiscardPolicy::New, ..config };
        self.jetstream.update_stream(config).await.unwrap();
    }
}

async fn dispatcher(stage: &Stage) -> Process {
    stage.dispatcher_with([NO_DEFAULT, SHORT_ACK_WAIT[0], SHORT_ACK_WAIT[1]]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_dead_letters_are_full_no_attempt_is_made_again() {
    let stage = Stage::set().await;
    let _dispatcher = dispatcher(&stage).await;
    let ordered_receiver = Receiver::start().await;
    for receiver in [&stage.receiver, &ordered_receiver] {
        receiver.always(500_u16);
    }
    stage.endpoint(json!({"retry": [1], "timeoutSeconds": 1, "events": ["test"]})).await;
    let ordered = json!({
        "retry": [1], "timeoutSeconds": 1, "events": ["test"], "ordering": "chat", "url": ordered_receiver.url()
    });
    stage.endpoint(ordered).await;
    // One letter of another program, and no more.
    stage.jetstream.publish("whatsapp.dead-letters.other.x", "{}".into()).await.unwrap().await.unwrap();
    stage.limit(stream::DEAD_LETTERS, Some(0)).await;
    stage.publish("test", "evt_1").await;
    for receiver in [&stage.receiver, &ordered_receiver] {
        receiver.wait_for(2, SOON).await;
    }
    tokio::time::sleep(FULL).await;
    assert_eq!((stage.receiver.count(), ordered_receiver.count()), (2, 2));
    stage.limit(stream::DEAD_LETTERS, None).await;
    until("both dead letters", SOON, || async { stage.count(stream::DEAD_LETTERS).await == 3 }).await;
    until("both to be told", SOON, || async { stage.events("error.occurred").await.len() == 2 }).await;
    assert_eq!((stage.receiver.count(), ordered_receiver.count()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_events_are_full_each_dead_letter_is_stored_once_and_told_later() {
    let stage = Stage::set().await;
    let _dispatcher = dispatcher(&stage).await;
    stage.receiver.answer_with(|request| {
        kurir_test_harness::Answer::status(if request.header("webhook-id") == "evt_bad" { 500 } else { 200 })
    });
    let id = stage.endpoint(json!({"retry": [], "timeoutSeconds": 1, "concurrency": 1, "events": ["test"]})).await;
    stage.publish("test", "evt_bad").await;
    stage.limit(stream::EVENTS, Some(1)).await;
    stage.publish("test", "evt_good").await;
    stage.receiver.wait_for(2, SOON).await;
    stage.all_settled(&[&id], SOON).await;
    tokio::time::sleep(FULL).await;
    assert_eq!((stage.receiver.count(), stage.dead_letters().await.len()), (2, 1));
    stage.limit(stream::EVENTS, None).await;
    until("it to be told", SOON, || async { stage.events("error.occurred").await.len() == 1 }).await;
    assert_eq!(arrivals(&[&stage.receiver]).values().max(), Some(&1));
    assert_eq!(stage.dead_letters().await.len(), 1);
}
