//! A hanging endpoint costs the others nothing, and each endpoint keeps to its limits.

use crate::stage::{
    SOON, Stage,
    endpoints::{NO_DEFAULT, arrivals},
};
use kurir_test_harness::{Answer, Receiver, Request, until};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_disturbs_no_other() {
    const EVENTS: usize = 200;
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.always(Answer::Hang);
    let hanging = stage.endpoint(json!({})).await;
    let others = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let mut endpoints = Vec::new();
    for receiver in &others {
        endpoints.push(stage.endpoint(json!({"url": receiver.url()})).await);
    }
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    // The first hanging request takes 10 s.
    for receiver in &others {
        receiver.wait_for(EVENTS, Duration::from_secs(8)).await;
    }
    stage.all_of_them_settled(&endpoints).await;
    assert!(stage.unsettled_of(&hanging).await > Some(0));
    assert!(arrivals(&others.iter().collect::<Vec<_>>()).values().all(|&count| count == others.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_endpoints_do_not_take_the_connections_of_the_others() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.start_with_few_files(64, [NO_DEFAULT]);
    dispatcher.wait_ready(SOON).await;
    let hanging = Receiver::start().await;
    hanging.always(Answer::Hang);
    for _ in 0..3 {
        stage.endpoint(json!({"url": hanging.url()})).await;
    }
    for number in 0..32 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    // Each endpoint starts with four requests at once.
    hanging.wait_for(12, Duration::from_secs(8)).await;
    let id = stage.endpoint(json!({})).await;
    stage.publish("test", "evt_good").await;
    stage.receiver.wait_for(1, SOON).await;
    assert_eq!(stage.recorded_of(&id, 1).await[0].attempt, 1);
}

/// The most requests within any such span.
fn most_within(requests: &[Request], span: Duration) -> usize {
    let until =
        |first: &Request| requests.iter().filter(|other| (first.at..first.at + span).contains(&other.at)).count();
    requests.iter().map(until).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dispatchers_have_a_rate_limit_among_them() {
    let stage = Stage::set().await;
    let _dispatchers = (stage.endpoints_dispatcher().await, stage.endpoints_dispatcher().await);
    // They count each other every five seconds.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let id = stage.endpoint(json!({"rateLimitPerSecond": 10})).await;
    let begun = std::time::Instant::now();
    for number in 0..100 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.all_settled(&[&id], Duration::from_secs(30)).await;
    let (took, requests) = (begun.elapsed(), stage.receiver.requests());
    assert_eq!(requests.len(), 100);
    assert!(took > Duration::from_secs(8), "{took:?}");
    // Ten, what both may save up, and requests that arrive together although they were sent apart.
    let most = most_within(&requests, Duration::from_secs(2));
    assert!(most <= 28, "{most} in two seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_filtered_is_no_request_and_costs_nothing_of_a_rate_limit() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let id = stage.endpoint(json!({"rateLimitPerSecond": 1, "filter": {"fromMe": true}})).await;
    for number in 0..200 {
        let chat = json!({"from": "491700000001@s.whatsapp.net"});
        stage.store("default", "message.received", &format!("evt_{number}"), chat).await;
    }
    stage.store("default", "message.sent", "sent", json!({"to": "491700000001@s.whatsapp.net"})).await;
    stage.receiver.wait_for(1, SOON).await;
    stage.all_settled(&[&id], SOON).await;
    assert_eq!(stage.receiver.count(), 1);
}

/// A receiver that counts the requests it has at once.
fn counting(receiver: &Receiver) -> Arc<AtomicUsize> {
    const TAKES: Duration = Duration::from_millis(300);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    receiver.answer_with(move |_| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let now = Arc::clone(&now);
        // It is counted as ended a little before its answer is sent: the next request is another one.
        tokio::spawn(async move {
            tokio::time::sleep(TAKES - Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        });
        Answer::status(200).slow(TAKES)
    });
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_are_under_way_than_the_endpoint_allows_also_while_it_changes() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let most = counting(&stage.receiver);
    let id = stage.endpoint(json!({"concurrency": 16})).await;
    // A request for 16 events waits in NATS when the endpoint is disabled, enabled, and takes less.
    until("its consumer", SOON, || async { stage.unsettled_of(&id).await.is_some() }).await;
    for _ in 0..2 {
        stage.change(&id, json!({"enabled": false})).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.change(&id, json!({"enabled": true, "concurrency": 4})).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for number in 0..60 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.all_settled(&[&id], SOON).await;
    let arrivals = arrivals(&[&stage.receiver]);
    assert!(arrivals.len() == 60 && arrivals.values().all(|&count| count == 1), "{arrivals:?}");
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

impl Stage {
    async fn all_of_them_settled(&self, endpoints: &[kurir_contract::endpoint::EndpointId]) {
        for id in endpoints {
            until("its events to be settled", SOON, || async { self.unsettled_of(id).await == Some(0) }).await;
        }
    }
}
