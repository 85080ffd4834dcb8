//! Replays keep the order of their events, each chat's strictly where the endpoint keeps chats in order, across retries,
//! dispatchers that die, and streams that vanish.

use crate::stage::{AFTER_ALL_RETRIES, SHORT_ACK_WAIT, SOON, Stage, endpoints::NO_DEFAULT};
use kurir_contract::{
    clock,
    endpoint::EndpointId,
    stream,
    webhook::{Replay, ReplaySelection, ReplayState},
};
use kurir_test_harness::{Answer, Receiver, Request, until};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

const CHATS: u64 = 3;

fn number(request: &Request) -> u64 {
    request.json()["data"]["n"].as_u64().unwrap()
}

fn is_replay(request: &Request) -> bool {
    request.header("kurir-replay") == "true"
}

fn all_since() -> ReplaySelection {
    ReplaySelection::Since { since: clock::iso(clock::now() - Duration::from_secs(60)) }
}

async fn endpoint(stage: &Stage, receiver: &Receiver, ordering: &str) -> EndpointId {
    let settings =
        json!({"url": receiver.url(), "ordering": ordering, "retry": [1, 1], "events": ["message.received"]});
    stage.endpoint(settings).await
}

async fn store(stage: &Stage, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let data = json!({"from": format!("chat{}", number % CHATS), "n": number});
        stage.store("default", "message.received", &format!("evt_{number}"), data).await;
    }
}

/// Each chat's replayed events in the order in which they were accepted, each once.
fn accepted(receiver: &Receiver, refused: &[u64]) -> HashMap<u64, Vec<u64>> {
    let (mut chats, mut left): (HashMap<u64, Vec<u64>>, Vec<u64>) = (HashMap::new(), refused.to_vec());
    for number in receiver.requests().iter().filter(|request| is_replay(request)).map(number) {
        match left.iter().position(|refused| *refused == number) {
            Some(place) => drop(left.remove(place)),
            None => chats.entry(number % CHATS).or_default().push(number),
        }
    }
    chats
}

/// Takes each replayed event after a time of its own, and refuses some of them at first.
fn make_it_hard(receiver: &Receiver, refused: &'static [u64]) {
    let left = Mutex::new(refused.to_vec());
    receiver.answer_with(move |request| {
        let (number, mut left) = (number(request), left.lock().unwrap());
        let place = left.iter().position(|refused| *refused == number).filter(|_| is_replay(request));
        let status = if place.map(|place| left.remove(place)).is_some() { 500 } else { 200 };
        Answer::status(status).slow(Duration::from_millis((number * 37) % 90))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn events_since_a_time_come_in_their_order_and_of_each_chat_strictly() {
    const EVENTS: u64 = 60;
    const REFUSED: &[u64] = &[4, 4, 20, 33];
    let stage = Stage::set().await;
    let (plain_receiver, receiver) = (Receiver::start().await, Receiver::start().await);
    let _dispatchers = (stage.endpoints_dispatcher().await, stage.endpoints_dispatcher().await);
    let plain = endpoint(&stage, &plain_receiver, "none").await;
    let ordered = endpoint(&stage, &receiver, "chat").await;
    store(&stage, 0..EVENTS).await;
    plain_receiver.wait_for(EVENTS as usize, SOON).await;
    receiver.wait_for(EVENTS as usize, SOON).await;
    stage.all_settled(&[&plain, &ordered], SOON).await;

    make_it_hard(&receiver, REFUSED);
    for id in [&plain, &ordered] {
        let replay = stage.replay(id, all_since()).await;
        assert_eq!((replay.total, stage.done(&replay, AFTER_ALL_RETRIES).await.waiting), (EVENTS, 0));
    }
    for (chat, numbers) in accepted(&receiver, REFUSED) {
        let expected: Vec<u64> = (0..EVENTS).filter(|number| number % CHATS == chat).collect();
        assert_eq!(numbers, expected, "chat {chat}");
    }
    let all: Vec<u64> = plain_receiver.requests().iter().filter(|request| is_replay(request)).map(number).collect();
    assert_eq!(all.len() as u64, EVENTS);
    // Two dispatchers take them, and each makes several requests at a time.
    let displaced: Vec<_> =
        all.iter().enumerate().filter(|(place, number)| place.abs_diff(**number as usize) > 20).collect();
    assert!(displaced.is_empty(), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_named_one_by_one_keep_the_order_of_their_chats() {
    const EVENTS: u64 = 30;
    const REFUSED: &[u64] = &[3, 10];
    let stage = Stage::set().await;
    let receiver = Receiver::start().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let ordered = endpoint(&stage, &receiver, "chat").await;
    store(&stage, 0..EVENTS).await;
    receiver.wait_for(EVENTS as usize, SOON).await;
    stage.all_settled(&[&ordered], SOON).await;
    make_it_hard(&receiver, REFUSED);
    // Sequences are one more than the numbers. They are named in another order, and some that do not exist.
    let sequences = (1..=EVENTS).rev().chain([900, 901]).collect();
    let replay = stage.replay(&ordered, ReplaySelection::Events { sequences }).await;
    assert_eq!((replay.total, stage.done(&replay, AFTER_ALL_RETRIES).await.waiting), (EVENTS, 0));
    for (chat, numbers) in accepted(&receiver, REFUSED) {
        let expected: Vec<u64> = (0..EVENTS).filter(|number| number % CHATS == chat).collect();
        assert_eq!(numbers, expected, "chat {chat}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_holds_when_the_dispatcher_that_copies_is_killed() {
    const EVENTS: u64 = 90;
    let stage = Stage::set().await;
    let receiver = Receiver::start().await;
    let settings = [NO_DEFAULT, SHORT_ACK_WAIT[0], SHORT_ACK_WAIT[1]];
    let mut dispatcher = stage.dispatcher_with(settings).await;
    let ordered = endpoint(&stage, &receiver, "chat").await;
    store(&stage, 0..EVENTS).await;
    receiver.wait_for(EVENTS as usize, SOON).await;
    stage.all_settled(&[&ordered], SOON).await;
    make_it_hard(&receiver, &[]);
    let replay = stage.replay(&ordered, all_since()).await;
    receiver.wait_for(EVENTS as usize + 20, SOON).await;
    dispatcher.kill_9().await;
    dispatcher.start_again();
    assert_eq!(stage.done(&replay, AFTER_ALL_RETRIES).await.total, EVENTS);
    for (chat, numbers) in accepted(&receiver, &[]) {
        let mut first: Vec<u64> = Vec::new();
        for number in numbers {
            if !first.contains(&number) {
                first.push(number);
            }
        }
        let expected: Vec<u64> = (0..EVENTS).filter(|number| number % CHATS == chat).collect();
        assert_eq!(first, expected, "chat {chat}");
    }
}

/// A sequence of the old stream names another event of the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_whose_stream_is_made_anew_ends_and_delivers_no_other_event() {
    const EVENTS: u64 = 400;
    for ordering in ["none", "chat"] {
        let stage = Stage::set().await;
        let receiver = Receiver::start().await;
        let _dispatcher = stage.endpoints_dispatcher().await;
        let id = endpoint(&stage, &receiver, ordering).await;
        store(&stage, 0..EVENTS).await;
        receiver.wait_for(EVENTS as usize, SOON).await;
        receiver.answer_with(|request| {
            let pause = if is_replay(request) { Duration::from_millis(100) } else { Duration::ZERO };
            Answer::status(200).slow(pause)
        });
        let replay = stage.replay(&id, all_since()).await;
        receiver.wait_for(EVENTS as usize + 5, SOON).await;
        stage.jetstream.delete_stream(stream::EVENTS).await.unwrap();
        until("EVENTS to be made again", AFTER_ALL_RETRIES, || async {
            stage.jetstream.get_stream(stream::EVENTS).await.is_ok()
        })
        .await;
        // As many as there were, under other ids.
        let began = Instant::now();
        for number in 0..EVENTS {
            let data = json!({"from": format!("chat{}", number % CHATS), "n": 1_000 + number});
            stage.store("default", "message.received", &format!("evt_new_{ordering}_{number}"), data).await;
        }
        until("the replay to end", AFTER_ALL_RETRIES, || async {
            let stands: Replay = stage.progress(&replay).await;
            if stands.state == ReplayState::Done { Ok(()) } else { Err((stands, began.elapsed())) }
        })
        .await;
        let other: Vec<_> =
            receiver.requests().iter().filter(|r| is_replay(r) && number(r) >= 1_000).map(number).collect();
        assert!(other.is_empty(), "{ordering}: {other:?}");
    }
}
