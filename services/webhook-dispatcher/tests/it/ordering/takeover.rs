//! The dispatcher that holds the endpoint may stop, die, freeze, or lose NATS: another goes on, in order.

use super::judge::{ALONE, Judge, a_third, dispatcher, holder, parked, publish, settings, settled, wait_parked, write};
use crate::stage::{AFTER_ALL_RETRIES, SOON, Stage};
use kurir_contract::endpoint::EventOrdering;
use kurir_test_harness::{Process, until};
use std::time::{Duration, Instant};

const CHATS: u64 = 10;
/// More than a dispatcher has in memory, all chats together.
const EACH: u64 = 100;
const ALL: usize = (CHATS * EACH) as usize;

/// Some chats have failures, so that events are parked; the others show the pause.
fn fails(chat: &str, number: u64) -> bool {
    chat < "chat3" && number % 10 == 3 && a_third(chat, number)
}

/// Two dispatchers, and events with failures among them: the one that holds the endpoint, and the other.
async fn under_way(stage: &Stage) -> (Judge, Process, Process) {
    let judge =
        Judge::at(&stage.receiver, Duration::from_millis(20), |chat, number, times| times == 0 && fails(chat, number));
    let (first, second) = (dispatcher(stage).await, dispatcher(stage).await);
    write(stage, &settings(stage, EventOrdering::Chat, &[1, 1, 1])).await;
    for number in 0..EACH {
        for chat in 0..CHATS {
            publish(stage, &format!("chat{chat}"), number).await;
        }
    }
    judge.wait(ALL / 20, SOON).await;
    let (holds, waits) = match holder(&[&first, &second], SOON).await {
        0 => (first, second),
        _ => (second, first),
    };
    (judge, holds, waits)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_holder_leaves_its_chats_to_another_in_order() {
    let stage = Stage::set().await;
    let (judge, mut holds, _waits) = under_way(&stage).await;
    holds.kill_9().await;
    let killed = Instant::now();
    judge.wait(ALL, AFTER_ALL_RETRIES).await;
    settled(&stage, SOON).await;
    assert!(judge.pause_after(killed, "chat5") < Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_asked_to_stop_hands_over_at_once_and_repeats_little() {
    let stage = Stage::set().await;
    let (judge, mut holds, _waits) = under_way(&stage).await;
    let asked = Instant::now();
    assert!(holds.terminate(SOON).await.success());
    judge.wait(ALL, AFTER_ALL_RETRIES).await;
    settled(&stage, SOON).await;
    let failed = (0..CHATS).flat_map(|chat| (0..EACH).map(move |number| (format!("chat{chat}"), number)));
    let failed = failed.filter(|(chat, number)| fails(chat, *number)).count();
    // None, if NATS has processed the last acknowledgements before the next holder starts. On a loaded machine a dozen
    // come after it, in order.
    let repeats = judge.repeats() as usize;
    let tenth = ALL / 10;
    assert!((failed..=failed + tenth).contains(&repeats), "{repeats} repeats, {failed} failed");
    // A holder that is killed keeps its pin for five seconds.
    assert!(judge.pause_after(asked, "chat5") < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_freezes_and_wakes_changes_no_order() {
    let stage = Stage::set().await;
    let (judge, mut holds, waits) = under_way(&stage).await;
    holds.pause();
    let before = judge.accepted();
    holder(&[&waits], SOON).await;
    until("the other to deliver", SOON, || async { judge.accepted() > before + 20 }).await;
    holds.resume();
    judge.wait(ALL, AFTER_ALL_RETRIES).await;
    settled(&stage, SOON).await;
    assert_eq!(judge.broken(), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_killed_in_the_middle_changes_no_order_and_loses_nothing() {
    let mut stage = Stage::set().await;
    let (judge, _holds, _waits) = under_way(&stage).await;
    stage.nats.kill().await;
    stage.nats.start_again().await;
    stage.jetstream = stage.nats.jetstream().await;
    judge.wait(ALL, AFTER_ALL_RETRIES).await;
    settled(&stage, SOON).await;
}

/// NATS pins no client then, since it has nothing to hand out.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_tried_after_a_restart_although_nothing_fresh_comes() {
    let stage = Stage::set().await;
    let judge = Judge::at(&stage.receiver, Duration::ZERO, |_, _, times| times == 0);
    let mut first = dispatcher(&stage).await;
    write(&stage, &settings(&stage, EventOrdering::Chat, &[5, 5])).await;
    publish(&stage, "chat", 0).await;
    publish(&stage, "chat", 1).await;
    wait_parked(&stage, 2).await;
    first.kill_9().await;
    let _two = (stage.start(ALONE), stage.start(ALONE));
    judge.wait(2, AFTER_ALL_RETRIES).await;
    settled(&stage, SOON).await;
    assert_eq!((judge.repeats(), parked(&stage).await), (2, 0), "one of them is enough");
}
