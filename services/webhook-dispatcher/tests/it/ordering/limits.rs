//! An endpoint that keeps order has its filter, its circuit, and the handling of a receiver that is gone, like every
//! other.

use super::judge::{Judge, dispatcher, endpoint, parked, publish, settings, settled, write};
use crate::stage::{AFTER_ALL_RETRIES, SOON, Stage};
use kurir_contract::{
    address::ChatJid,
    endpoint::{BUCKET, EndpointSettings, EventOrdering},
};
use kurir_test_harness::{Answer, until};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_filter_keeps_out_is_settled_without_a_request() {
    let stage = Stage::set().await;
    let judge = Judge::at(&stage.receiver, Duration::ZERO, |_, _, _| false);
    let mut wanted = settings(&stage, EventOrdering::Chat, &[1]);
    wanted.filter.chats = vec![ChatJid::from_whatsapp("good")];
    let _dispatcher = dispatcher(&stage).await;
    write(&stage, &wanted).await;
    for number in 0..5 {
        publish(&stage, "bad", number).await;
        publish(&stage, "good", number).await;
    }
    settled(&stage, SOON).await;
    assert_eq!((judge.accepted_of("good"), judge.accepted_of("bad")), (5, 0));
    assert_eq!(stage.recorded(10).await.len(), 10);
}

/// A takeover has events handed out again, but none from before the endpoint's creation.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_begins_with_its_first_event_and_not_before() {
    let stage = Stage::set().await;
    let judge = Judge::at(&stage.receiver, Duration::ZERO, |_, _, _| false);
    stage.make_events().await;
    for number in 0..3 {
        publish(&stage, "before", number).await;
    }
    let mut made_now = settings(&stage, EventOrdering::Chat, &[1]);
    made_now.start_sequence = 4;
    let _dispatcher = dispatcher(&stage).await;
    write(&stage, &made_now).await;
    publish(&stage, "after", 0).await;
    judge.wait(1, SOON).await;
    settled(&stage, SOON).await;
    assert_eq!((judge.accepted_of("after"), judge.accepted()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_gets_one_request_and_its_events_wait_in_order() {
    let stage = Stage::set().await;
    stage.receiver.always(Answer::status(410));
    let mut one_at_a_time = settings(&stage, EventOrdering::Chat, &[1]);
    one_at_a_time.concurrency = 1;
    let _dispatcher = dispatcher(&stage).await;
    write(&stage, &one_at_a_time).await;
    for number in 0..3 {
        publish(&stage, "chat", number).await;
    }
    until("the endpoint to be disabled", SOON, || async {
        let bucket = stage.jetstream.get_key_value(BUCKET).await.unwrap();
        let stored = bucket.get(endpoint().as_str()).await.unwrap().unwrap();
        !serde_json::from_slice::<EndpointSettings>(&stored).unwrap().enabled
    })
    .await;
    assert_eq!((stage.receiver.count(), parked(&stage).await), (1, 0));
    let judge = Judge::at(&stage.receiver, Duration::ZERO, |_, _, _| false);
    write(&stage, &one_at_a_time).await;
    // `endpoint.disabled` is one of its events, too: in a chat of its own, and not for this endpoint.
    judge.wait(3, SOON).await;
    settled(&stage, SOON).await;
}

/// The circuit opens after thirty seconds of failures.
#[tokio::test(flavor = "multi_thread")]
async fn while_its_circuit_is_open_its_chats_wait_and_go_on_in_order_afterwards() {
    const CHATS: u64 = 3;
    const EACH: u64 = 5;
    let stage = Stage::set().await;
    let judge = Judge::at(&stage.receiver, Duration::ZERO, |_, _, _| true);
    let mut dispatcher = dispatcher(&stage).await;
    write(&stage, &settings(&stage, EventOrdering::Chat, &[1; 50])).await;
    for number in 0..EACH {
        for chat in 0..CHATS {
            publish(&stage, &format!("chat{chat}"), number).await;
        }
    }
    dispatcher.wait_for_line(|line| line.contains("its events wait, one is tried in 5 s"), 2 * AFTER_ALL_RETRIES).await;
    let requests = stage.receiver.count();
    dispatcher.wait_for_line(|line| line.contains("its events wait, one is tried in 10 s"), SOON).await;
    assert_eq!((stage.receiver.count(), judge.accepted()), (requests + 1, 0), "nothing but one probe");
    let judge = Judge::at(&stage.receiver, Duration::ZERO, |_, _, _| false);
    judge.wait((CHATS * EACH) as usize, 2 * AFTER_ALL_RETRIES).await;
    settled(&stage, SOON).await;
}
