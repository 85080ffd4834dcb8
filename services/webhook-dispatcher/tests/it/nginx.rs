//! nginx ends connections all the time: after some requests, at each reload, and while requests are under way. No event may
//! be lost by that, and none may be sent twice.

use crate::stage::{
    SOON, Stage,
    endpoints::{NO_DEFAULT, arrivals},
    nginx::Nginx,
    tls::Authority,
};
use kurir_contract::delivery::AttemptResult;
use kurir_test_harness::{Answer, Receiver};
use serde_json::json;
use std::time::{Duration, Instant};

const DELIVERED_WITHIN: Duration = Duration::from_secs(120);
/// More reloads than nginx has time to end its old workers in.
const RELOAD_EVERY: Duration = Duration::from_millis(400);

struct Trial {
    events: usize,
    /// How long the receiver behind nginx takes.
    answer: Answer,
    reloads: bool,
    /// Lines of nginx' configuration.
    settings: &'static str,
}

async fn nothing_is_lost_or_repeated(trial: Trial) {
    let (stage, authority, receiver) = (Stage::set().await, Authority::new(), Receiver::start().await);
    receiver.always(trial.answer);
    let Some(nginx) = Nginx::start(&receiver, &authority, trial.settings).await else { return };
    let file = authority.file();
    let settings = [NO_DEFAULT, ("WEBHOOK_CA_FILE", file.path().to_str().unwrap())];
    let _dispatcher = stage.dispatcher_with(settings).await;
    // Without retries, every failure of an attempt is a dead letter.
    let id = stage.endpoint(json!({"url": nginx.url(), "retry": [], "events": ["test"]})).await;
    let publish = async {
        for number in 0..trial.events {
            stage.publish("test", &format!("evt_{number}")).await;
        }
        receiver.wait_for(trial.events, DELIVERED_WITHIN).await;
    };
    let mut reloads = 0;
    let began = Instant::now();
    tokio::pin!(publish);
    while tokio::time::timeout(RELOAD_EVERY, &mut publish).await.is_err() {
        if trial.reloads {
            nginx.reload();
            reloads += 1;
        }
        assert!(began.elapsed() < DELIVERED_WITHIN, "{} of {}", receiver.count(), trial.events);
    }
    assert!(!trial.reloads || reloads > 2, "only {reloads} reloads");
    stage.all_settled(&[&id], SOON).await;
    let letters = stage.dead_letters().await;
    assert!(letters.is_empty(), "{} dead letters, the first is {:?}", letters.len(), letters[0]);
    let repeated: Vec<_> = arrivals(&[&receiver]).into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(repeated.is_empty(), "{} came more than once: {repeated:?}", repeated.len());
    let attempts = stage.recorded_of(&id, trial.events).await;
    assert_eq!(attempts.len(), trial.events);
    assert!(attempts.iter().all(|attempt| matches!(attempt.result, AttemptResult::Delivered { .. })), "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_ends_connections_after_some_requests() {
    let (events, answer) = (3_000, Answer::status(200));
    nothing_is_lost_or_repeated(Trial { events, answer, reloads: false, settings: "keepalive_requests 100;" }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_ends_connections_while_their_requests_are_under_way() {
    let (events, answer) = (600, Answer::status(200).slow(Duration::from_millis(300)));
    let settings = "keepalive_requests 7; http2_max_concurrent_streams 8;";
    nothing_is_lost_or_repeated(Trial { events, answer, reloads: false, settings }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_is_reloaded_again_and_again() {
    let (events, answer) = (2_000, Answer::status(200).slow(Duration::from_millis(20)));
    nothing_is_lost_or_repeated(Trial { events, answer, reloads: true, settings: "keepalive_requests 100;" }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_closes_idle_connections_at_once() {
    let (events, answer) = (1_000, Answer::status(200));
    let settings = "keepalive_timeout 0; keepalive_requests 100;";
    nothing_is_lost_or_repeated(Trial { events, answer, reloads: false, settings }).await;
}
