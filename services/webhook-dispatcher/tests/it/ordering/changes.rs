//! The ordering is changed while events wait and fail.

use super::judge::{Judge, dispatcher, publish, settings, settled, wait_parked, write};
use crate::stage::{AFTER_ALL_RETRIES, SOON, Stage};
use kurir_contract::endpoint::EventOrdering;
use kurir_test_harness::until;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_retry_is_not_overtaken_when_the_endpoint_begins_to_keep_order() {
    let stage = Stage::set().await;
    let judge = Judge::at(&stage.receiver, Duration::ZERO, |_, number, times| number == 0 && times == 0);
    let _two = (dispatcher(&stage).await, dispatcher(&stage).await);
    write(&stage, &settings(&stage, EventOrdering::None, &[12, 5])).await;
    publish(&stage, "chat", 0).await;
    until("its retry to be kept", SOON, || async { stage.retries().await == 1 }).await;
    write(&stage, &settings(&stage, EventOrdering::Chat, &[12, 5])).await;
    until("the consumer to serve one at a time", SOON, || async {
        let events = stage.jetstream.get_stream("EVENTS").await.unwrap();
        events.consumer_info("webhook-ep_order").await.unwrap().config.priority_groups.len() == 1
    })
    .await;
    for number in 1..5 {
        publish(&stage, "chat", number).await;
    }
    // It is parked, and so are the events behind it.
    wait_parked(&stage, 5).await;
    judge.wait(5, AFTER_ALL_RETRIES).await;
    settled(&stage, SOON).await;
    assert_eq!(judge.repeats(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_endpoint_keeps_order_and_then_no_more() {
    const FIRST: u64 = 20;
    let stage = Stage::set().await;
    let judge =
        Judge::at(&stage.receiver, Duration::ZERO, |chat, number, times| chat == "chat" && number == 0 && times < 2);
    let _two = (dispatcher(&stage).await, dispatcher(&stage).await);
    write(&stage, &settings(&stage, EventOrdering::None, &[1, 1])).await;
    publish(&stage, "before", 0).await;
    until("the first event", SOON, || async { judge.accepted() == 1 }).await;
    write(&stage, &settings(&stage, EventOrdering::Chat, &[2, 3_600])).await;
    until("the consumer to serve one at a time", SOON, || async {
        let events = stage.jetstream.get_stream("EVENTS").await.unwrap();
        events.consumer_info("webhook-ep_order").await.unwrap().config.priority_groups.len() == 1
    })
    .await;
    for number in 0..FIRST {
        publish(&stage, "chat", number).await;
    }
    wait_parked(&stage, FIRST as usize).await;
    until("the second attempt", SOON, || async { judge.repeats() == 1 }).await;
    assert_eq!(judge.broken(), [] as [String; 0]);
    // The third attempt is an hour away. An endpoint that does not keep the order any more does not wait for it.
    write(&stage, &settings(&stage, EventOrdering::None, &[1, 1])).await;
    publish(&stage, "after", 0).await;
    until("all events to be taken", SOON, || async {
        let taken = judge.accepted();
        if taken == FIRST as usize + 2 { Ok(()) } else { Err(taken) }
    })
    .await;
    settled(&stage, SOON).await;
}
