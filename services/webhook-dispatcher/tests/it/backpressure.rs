//! A receiver that has no room for more is given time: its events spend no attempt, and come at its pace.

use crate::stage::{
    SOON, Stage,
    endpoints::{NO_DEFAULT, arrivals},
};
use kurir_contract::endpoint::EndpointId;
use kurir_test_harness::{Answer, Receiver, Request};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Accepts so many requests in any second, and refuses all others with this answer.
fn limited(receiver: &Receiver, per_second: usize, refusal: Answer) {
    let accepted: Arc<Mutex<Vec<Instant>>> = Arc::default();
    receiver.answer_with(move |_| {
        let (mut accepted, now) = (accepted.lock().unwrap(), Instant::now());
        accepted.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        if accepted.len() >= per_second {
            return refusal.clone();
        }
        accepted.push(now);
        Answer::status(200)
    });
}

fn too_many() -> Answer {
    Answer::status(429).header("retry-after", "1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_at_a_receiver_with_a_limit_makes_no_dead_letters_and_keeps_its_pace() {
    const EVENTS: usize = 120;
    let stage = Stage::set().await;
    let receivers = [Receiver::start().await, Receiver::start().await];
    let _dispatchers = (stage.dispatcher().await, stage.dispatcher().await);
    limited(&stage.receiver, 5, too_many());
    limited(&receivers[0], 5, Answer::status(503).header("retry-after", "1"));
    limited(&receivers[1], 5, too_many());
    let mut ids = vec![EndpointId::default()];
    for (receiver, ordering) in receivers.iter().zip(["none", "chat"]) {
        let settings = json!({"url": receiver.url(), "retry": "default", "ordering": ordering, "events": ["test"]});
        ids.push(stage.endpoint(settings).await);
    }
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    let began = Instant::now();
    stage.all_settled(&ids.iter().collect::<Vec<_>>(), Duration::from_secs(120)).await;
    eprintln!("settled after {:?}", began.elapsed());
    assert!(stage.dead_letters().await.is_empty());
    for receiver in [&stage.receiver, &receivers[0], &receivers[1]] {
        let requests = receiver.count();
        let arrivals = arrivals(&[receiver]);
        assert!((0..EVENTS).all(|number| arrivals.contains_key(&format!("evt_{number}"))), "{arrivals:?}");
        // The first moment of each dispatcher, and a complaint every few seconds.
        assert!(requests < 3 * EVENTS, "{requests} requests");
    }
    // No attempt is spent: all of them are the first.
    let attempts = stage.attempts().await;
    assert!(attempts.iter().all(|attempt| attempt.attempt == 1), "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_dispatchers_keep_the_pause_that_one_was_asked_for() {
    let stage = Stage::set().await;
    let _dispatchers = (stage.dispatcher_with([NO_DEFAULT]).await, stage.dispatcher_with([NO_DEFAULT]).await);
    stage.receiver.answers([Answer::status(429).header("retry-after", "4")]);
    let id = stage.endpoint(json!({"concurrency": 1})).await;
    stage.publish("test", "evt_0").await;
    stage.receiver.wait_for(1, SOON).await;
    kurir_test_harness::until("the pause to be shown", SOON, || async {
        stage.state(&id).await.is_some_and(|state| state.pause_ms.is_some())
    })
    .await;
    for number in 1..6 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    let requests = stage.receiver.wait_for(7, SOON).await;
    let pause = requests[1].at - requests[0].at;
    assert!(pause >= Duration::from_millis(3_900), "{pause:?}");
    stage.all_settled(&[&id], SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_has_room_is_disabled_in_the_end_and_loses_nothing() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with([NO_DEFAULT, ("WEBHOOK_DISABLE_AFTER", "6s")]).await;
    stage.receiver.always(Answer::status(429));
    let id = stage.endpoint(json!({"retry": [], "events": ["test"]})).await;
    for number in 0..5 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    let reason = stage.disabled(&id, SOON).await;
    assert!(reason.contains("429"), "{reason}");
    assert!(stage.dead_letters().await.is_empty());
    stage.receiver.forget();
    stage.receiver.always(200_u16);
    stage.enable(&id).await;
    stage.all_settled(&[&id], Duration::from_secs(60)).await;
    assert_eq!(arrivals(&[&stage.receiver]).len(), 5);
}

/// The most requests in any second.
fn most_in_a_second(requests: &[Request]) -> usize {
    let in_second = |from: Instant| {
        requests.iter().filter(|request| (from..from + Duration::from_secs(1)).contains(&request.at)).count()
    };
    requests.iter().map(|request| in_second(request.at)).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_holds_from_the_first_second_whenever_dispatchers_come() {
    const LIMIT: usize = 20;
    let stage = Stage::set().await;
    let mut dispatchers = [stage.start([NO_DEFAULT]), stage.start([NO_DEFAULT]), stage.start([NO_DEFAULT])];
    for dispatcher in &mut dispatchers {
        dispatcher.wait_ready(SOON).await;
    }
    let id = stage.endpoint(json!({"rateLimitPerSecond": LIMIT, "events": ["test"]})).await;
    for number in 0..160 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(40, SOON).await;
    let _late = stage.dispatcher_with([NO_DEFAULT]).await;
    stage.all_settled(&[&id], SOON).await;
    let requests = stage.receiver.requests();
    let took = requests[requests.len() - 1].at - requests[0].at;
    let most = most_in_a_second(&requests);
    eprintln!("{} requests in {took:?}, at most {most} in a second", requests.len());
    // On the way to the receiver two moments may come a little closer.
    assert!(most <= LIMIT + 2, "{most} in a second");
    assert!(took < Duration::from_secs(16), "{took:?}");
}
