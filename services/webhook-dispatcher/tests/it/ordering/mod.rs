//! An endpoint with `ordering: "chat"`: the events of one chat arrive in order, whatever fails, and delay no other
//! chat.

mod changes;
mod judge;
mod limits;
mod takeover;

use crate::stage::{AFTER_ALL_RETRIES, SOON, Stage};
use judge::{Judge, a_third, dispatcher, parked, publish, settings, settled, wait_parked, write};
use kurir_contract::endpoint::EventOrdering;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_each_chat_arrive_in_order_while_a_third_of_the_requests_fail() {
    const CHATS: u64 = 20;
    const EACH: u64 = 15;
    let stage = Stage::set().await;
    let judge =
        Judge::at(&stage.receiver, Duration::from_millis(5), |chat, number, times| times == 0 && a_third(chat, number));
    let _first = dispatcher(&stage).await;
    let _second = dispatcher(&stage).await;
    write(&stage, &settings(&stage, EventOrdering::Chat, &[1, 1, 1])).await;
    for number in 0..EACH {
        for chat in 0..CHATS {
            publish(&stage, &format!("chat{chat}"), number).await;
        }
    }
    judge.wait((CHATS * EACH) as usize, AFTER_ALL_RETRIES).await;
    settled(&stage, SOON).await;
    let failed = (0..CHATS).flat_map(|chat| (0..EACH).map(move |number| a_third(&format!("chat{chat}"), number)));
    assert_eq!(judge.repeats() as usize, failed.filter(|fails| *fails).count(), "nothing is sent twice for nothing");
    let attempts = stage.recorded((CHATS * EACH) as usize + judge.repeats() as usize).await;
    assert!(attempts.iter().all(|attempt| attempt.attempt <= 2), "each attempt has its number");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_fails_with_thousands_behind_it_delays_no_other() {
    const BEHIND: u64 = 3_000;
    let stage = Stage::set().await;
    let judge =
        Judge::at(&stage.receiver, Duration::ZERO, |chat, number, times| chat == "bad" && number == 0 && times < 2);
    let _dispatcher = dispatcher(&stage).await;
    write(&stage, &settings(&stage, EventOrdering::Chat, &[1, 25])).await;
    for number in 0..BEHIND {
        publish(&stage, "bad", number).await;
        if number % 100 == 0 {
            publish(&stage, "good", number / 100).await;
        }
    }
    wait_parked(&stage, BEHIND as usize).await;
    assert_eq!((judge.accepted_of("bad"), judge.accepted_of("good")), (0, BEHIND as usize / 100));
    judge.wait((BEHIND + BEHIND / 100) as usize, 3 * AFTER_ALL_RETRIES).await;
    settled(&stage, SOON).await;
    assert_eq!(judge.repeats(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_given_up_lets_the_next_of_its_chat_go() {
    let stage = Stage::set().await;
    let _dispatcher = dispatcher(&stage).await;
    write(&stage, &settings(&stage, EventOrdering::Chat, &[1])).await;
    let judge = Judge::at(&stage.receiver, Duration::ZERO, |_, number, _| number == 0);
    publish(&stage, "chat", 0).await;
    publish(&stage, "chat", 1).await;
    settled(&stage, SOON).await;
    assert_eq!((judge.accepted(), judge.repeats(), parked(&stage).await), (1, 1, 0));
    let letters = stage.dead_letters().await;
    assert_eq!(letters.iter().map(|letter| letter.attempts).collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_chat_with_hundreds_behind_it_delays_no_other_for_long() {
    let stage = Stage::set().await;
    let judge = Judge::at(&stage.receiver, Duration::from_millis(400), |_, _, _| false);
    let _dispatcher = dispatcher(&stage).await;
    write(&stage, &settings(&stage, EventOrdering::Chat, &[1])).await;
    for number in 0..700 {
        publish(&stage, "slow", number).await;
    }
    publish(&stage, "other", 0).await;
    kurir_test_harness::until("the other chat's event", SOON, || async { judge.accepted_of("other") == 1 }).await;
    assert!(judge.accepted_of("slow") < 100);
    assert_eq!(judge.broken(), [] as [String; 0]);
}
