//! The parts of a service that need a broker, with a real one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bucket;
mod counted_subscription;
mod nats_login;
mod nats_users;
mod publish;

use async_nats::jetstream::stream::Config;
use kurir_chassis::{
    broker::{Broker, BrokerSettings},
    health::Health,
    nats_login::NatsLoginSettings,
    shutdown::CancellationToken,
};
use kurir_contract::{service::ServiceName, stream, subject};
use kurir_test_harness::{Nats, Port, http, until};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A connection, with the streams made.
async fn connect(nats: &Nats) -> Broker {
    let broker = Broker::connect(&settings(nats), "test").await.unwrap();
    tokio::time::timeout(SOON, broker.wait_until_ready()).await.unwrap();
    broker
}

fn settings(nats: &Nats) -> BrokerSettings {
    BrokerSettings {
        nats_url: nats.url(),
        stream_replicas: 1,
        nats_inbox_prefix: "_INBOX".to_owned(),
        secrets_key: None,
        login: NatsLoginSettings::default(),
    }
}

#[tokio::test]
async fn a_service_that_starts_before_the_broker_finds_it_later() {
    let mut nats = Nats::start().await;
    nats.stop().await;
    let broker = Broker::connect(&settings(&nats), "test").await.unwrap();
    assert!(!broker.is_connected());
    nats.start_again().await;
    tokio::time::timeout(SOON, broker.wait_until_ready()).await.unwrap();
    let retries = broker.jetstream.get_stream(stream::RETRIES).await.unwrap();
    assert!(retries.cached_info().config.allow_message_schedules);
}

#[tokio::test]
async fn a_stream_that_exists_is_left_as_the_operator_set_it() {
    let nats = Nats::start().await;
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let own = Config {
        name: stream::EVENTS.to_owned(),
        subjects: vec![subject::ALL_EVENTS.to_owned()],
        max_age: week,
        max_consumers: 50,
        ..Config::default()
    };
    nats.jetstream().await.create_stream(own).await.unwrap();
    let broker = Broker::connect(&settings(&nats), "test").await.unwrap();
    tokio::time::timeout(SOON, broker.wait_until_ready()).await.unwrap();
    let events = broker.jetstream.get_stream(stream::EVENTS).await.unwrap();
    assert_eq!((events.cached_info().config.max_age, events.cached_info().config.max_consumers), (week, 50));
}

#[tokio::test]
async fn readiness_follows_the_broker_and_liveness_does_not() {
    let mut nats = Nats::start().await;
    let broker = Broker::connect(&settings(&nats), "test").await.unwrap();
    tokio::time::timeout(SOON, broker.wait_until_ready()).await.unwrap();
    let health = Health::new(ServiceName::Api, broker.clone());
    let (port, stop) = (Port::reserve(), CancellationToken::new());
    let served = tokio::spawn(health.clone().serve_probes(port.addr(), stop.clone()));
    let answers = |path: &'static str, status: u16| {
        let url = format!("http://{}{path}", port.addr());
        until(format!("{path} {status}"), SOON, move || {
            let url = url.clone();
            async move {
                let answer = http::client().get(url).send().await.map_err(|e| e.to_string())?.status().as_u16();
                if answer == status { Ok(()) } else { Err(answer.to_string()) }
            }
        })
    };
    answers("/readyz", 503).await;
    health.mark_ready();
    answers("/readyz", 200).await;
    nats.stop().await;
    answers("/readyz", 503).await;
    answers("/livez", 200).await;
    nats.start_again().await;
    answers("/readyz", 200).await;
    stop.cancel();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_ping_is_answered_by_every_instance() {
    let nats = Nats::start().await;
    let stop = CancellationToken::new();
    for _ in 0..2 {
        let broker = Broker::connect(&settings(&nats), "test").await.unwrap();
        tokio::time::timeout(SOON, broker.wait_until_ready()).await.unwrap();
        tokio::spawn(Health::new(ServiceName::Gateway, broker).answer_pings(stop.clone()));
    }
    let client = nats.client().await;
    until("two pongs", SOON, || async {
        use futures::StreamExt as _;
        let inbox = client.new_inbox();
        let pongs = client.subscribe(inbox.clone()).await.unwrap();
        client.publish_with_reply(subject::service_ping(ServiceName::Gateway), inbox, "".into()).await.unwrap();
        let pongs = pongs.take_until(tokio::time::sleep(Duration::from_millis(300)));
        let count = pongs.count().await;
        if count == 2 { Ok(()) } else { Err(count) }
    })
    .await;
    stop.cancel();
}
