use std::time::Duration;

use async_nats::jetstream;
use kurir_test_harness::{Nats, until};

use crate::SOON;

#[tokio::test]
async fn a_stored_message_and_the_address_survive_a_kill_and_a_stop() {
    let mut nats = Nats::start().await;
    let url = nats.url();
    let jetstream = nats.jetstream().await;
    let stream = jetstream
        .create_stream(jetstream::stream::Config {
            name: "S".into(),
            subjects: vec!["s.>".into()],
            ..Default::default()
        })
        .await
        .unwrap();
    let mut stored = 0;
    for ended_by_kill in [true, false] {
        jetstream.publish("s.one", "x".into()).await.unwrap().await.unwrap();
        stored += 1;
        if ended_by_kill {
            nats.kill().await;
        } else {
            nats.stop().await;
        }
        nats.start_again().await;
        assert_eq!(nats.url(), url);
        let messages =
            until("the client to be back", SOON, || async { stream.get_info().await.map(|info| info.state.messages) })
                .await;
        assert_eq!(messages, stored);
    }
}

#[tokio::test]
async fn it_runs_with_the_configuration_that_kurir_ships() {
    let mut nats = Nats::start().await;
    assert!(nats.process().output().contains("100.00 GB"));
}

#[tokio::test]
async fn a_paused_server_answers_when_it_is_resumed() {
    let mut nats = Nats::start().await;
    let jetstream = nats.jetstream().await;
    nats.pause();
    let asked = tokio::time::timeout(Duration::from_millis(300), jetstream.query_account()).await;
    assert!(asked.is_err(), "it answered: {asked:?}");
    nats.resume();
    jetstream.query_account().await.unwrap();
}
