//! A receiver with a few workers, as n8n is: it takes every request, and each waits for a worker. Who sends it more at once
//! than it can process within the time limit makes it process events twice.

use crate::stage::{
    SOON, Stage,
    endpoints::{NO_DEFAULT, arrivals},
};
use kurir_contract::endpoint::EndpointId;
use kurir_test_harness::{Answer, Receiver};
use serde_json::json;
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

const WORKERS: usize = 4;
const DELIVERED_WITHIN: Duration = Duration::from_secs(150);

/// From now on, each request takes one of the workers for this time; `work` gets the number of the request.
fn queue_for_workers(receiver: &Receiver, work: impl Fn(usize) -> Duration + Send + Sync + 'static) {
    let state = Mutex::new(([Instant::now(); WORKERS], 0));
    receiver.answer_with(move |_| {
        let (now, mut state) = (Instant::now(), state.lock().unwrap());
        let (free, number) = &mut *state;
        let worker = free.iter_mut().min().unwrap();
        // A request that its client has given up is processed all the same.
        *worker = (*worker).max(now) + work(*number);
        *number += 1;
        Answer::status(200).slow(worker.duration_since(now))
    });
}

async fn each_comes_once(stage: &Stage, id: &EndpointId, receiver: &Receiver, events: usize) {
    for number in 0..events {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    receiver.wait_for(events, DELIVERED_WITHIN).await;
    stage.all_settled(&[id], SOON * 2).await;
    let repeated: Vec<_> = arrivals(&[receiver]).into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(repeated.is_empty(), "{} came more than once: {repeated:?}", repeated.len());
    assert_eq!(receiver.count(), events);
}

/// The default endpoint sends up to 64 at once: the last of them would wait for 16 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_with_four_workers_gets_no_event_twice() {
    let stage = Stage::set().await;
    queue_for_workers(&stage.receiver, |_| Duration::from_secs(1));
    let _dispatcher = stage.dispatcher_with([("WEBHOOK_TIMEOUT", "10s")]).await;
    each_comes_once(&stage, &EndpointId::default(), &stage.receiver, 160).await;
}

/// The flow is quick at first and then calls something slow: what was learnt of the receiver is not true any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_becomes_slow_gets_no_event_twice() {
    let stage = Stage::set().await;
    let work = |number| Duration::from_millis(if number < 400 { 50 } else { 1_200 });
    let receiver = Receiver::start().await;
    queue_for_workers(&receiver, work);
    let _dispatcher = stage.dispatcher_with([NO_DEFAULT]).await;
    let id = stage.endpoint(json!({"url": receiver.url(), "timeoutSeconds": 10})).await;
    each_comes_once(&stage, &id, &receiver, 500).await;
}

/// Work that differs from event to event by a factor of ten.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_whose_work_differs_gets_no_event_twice() {
    let stage = Stage::set().await;
    let receiver = Receiver::start().await;
    queue_for_workers(&receiver, |number| Duration::from_millis(if number % 5 == 0 { 3_000 } else { 300 }));
    let _dispatcher = stage.dispatcher_with([NO_DEFAULT]).await;
    let id = stage.endpoint(json!({"url": receiver.url(), "timeoutSeconds": 10})).await;
    each_comes_once(&stage, &id, &receiver, 160).await;
}

/// 64 at once are needed: with fewer it would take twice as long or more.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_many_at_once_gets_as_many_as_the_limit_allows() {
    const EVENTS: usize = 3_000;
    let stage = Stage::set().await;
    let work = Duration::from_millis(200);
    stage.receiver.always(Answer::status(200).slow(work));
    stage.make_events().await;
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.wait_for(1, SOON).await;
    let began = Instant::now();
    stage.receiver.wait_for(EVENTS, DELIVERED_WITHIN).await;
    let (took, ideal) = (began.elapsed(), work * (EVENTS as u32) / 64);
    println!("{took:?}, and {ideal:?} with all of the limit from the first moment");
    assert!(took < ideal * 3 / 2, "{took:?} instead of {ideal:?}");
}
