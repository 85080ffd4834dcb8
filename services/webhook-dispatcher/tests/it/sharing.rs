//! Any number of dispatchers share the work.

use crate::stage::{SOON, Stage};
use kurir_contract::{
    subject,
    webhook::{ReplayReference, ReplaySelection, WebhookCommand},
};
use kurir_test_harness::{Answer, until};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn two_dispatchers_share_1000_events_and_each_is_delivered_once() {
    const EVENTS: usize = 1_000;
    let stage = Stage::set().await;
    let first = stage.dispatcher().await;
    let second = stage.dispatcher().await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(20)));
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.settled(SOON).await;
    let mut requests: HashMap<String, usize> = HashMap::new();
    for request in stage.receiver.requests() {
        *requests.entry(request.header("webhook-id").to_owned()).or_default() += 1;
    }
    assert_eq!(requests.len(), EVENTS);
    assert!(requests.values().all(|&count| count == 1));

    let part = |dispatcher: &kurir_test_harness::Process| {
        dispatcher.output().lines().filter(|line| line.contains("Webhook sent successfully")).count()
    };
    // A log line is written a moment after what it reports.
    let parts = until("a line for each delivery", SOON, || async {
        let parts = [part(&first), part(&second)];
        if parts.iter().sum::<usize>() == EVENTS { Ok(parts) } else { Err(parts) }
    })
    .await;
    assert!(parts.iter().all(|&part| part >= EVENTS / 10), "{parts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_dispatcher_takes_over_what_a_killed_one_had() {
    const EVENTS: usize = 300;
    let stage = Stage::set().await;
    let mut first = stage.dispatcher_with(crate::stage::SHORT_ACK_WAIT).await;
    let _second = stage.dispatcher_with(crate::stage::SHORT_ACK_WAIT).await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(100)));
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    first.kill_9().await;
    stage.settled(SOON).await;
    let delivered: HashSet<_> =
        stage.receiver.requests().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!(delivered.len(), EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_dispatcher_gets_no_commands_after_half_a_minute() {
    let stage = Stage::set().await;
    let endpoint = stage.endpoint_of_api("ep_1", |_| {}).await;
    let mut frozen = stage.dispatcher().await;
    let _other = stage.dispatcher().await;
    let replay = stage.replay(&endpoint, ReplaySelection::DeadLetters).await;
    frozen.pause();
    let client = stage.nats.client().await;
    let question = serde_json::to_vec(&ReplayReference { id: replay.id.clone() }).unwrap();
    // NATS gives half of the commands to the frozen one as long as it counts it as there.
    until("NATS to forget it", Duration::from_secs(60), || async {
        for asked in 0..20 {
            let request = async_nats::Request::new().payload(question.clone().into()).timeout(Some(SOON / 20));
            let subject = subject::webhook_command(WebhookCommand::ReplayProgress);
            client.send_request(subject, request).await.map_err(|error| format!("{asked} answered: {error}"))?;
        }
        Ok::<_, String>(())
    })
    .await;
}
