//! Endpoints are created, changed and deleted while dispatchers run: each change is effective at once, and nothing in
//! flight is lost or repeated.

use crate::stage::{
    SHORT_ACK_WAIT, SOON, Stage,
    endpoints::{NO_DEFAULT, arrivals, ids},
};
use kurir_contract::{
    endpoint::{EndpointId, SigningSecret},
    stream,
    subject::{self, RetrySubject},
};
use kurir_test_harness::{Answer, Receiver, until};
use serde_json::json;
use std::{collections::HashSet, sync::Mutex, time::Duration};

/// A change is effective within a second. This machine has other work.
const AT_ONCE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_delivered_to_at_once_and_from_its_making_on() {
    let stage = Stage::set().await;
    let _dispatchers = (stage.endpoints_dispatcher().await, stage.endpoints_dispatcher().await);
    stage.publish("test", "evt_before").await;
    let id = stage.endpoint(json!({})).await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, AT_ONCE).await;
    stage.publish("test", "evt_2").await;
    stage.all_settled(&[&id], SOON).await;
    assert_eq!(ids(&stage.receiver), ["evt_1", "evt_2"]);
    assert_eq!(stage.recorded_of(&id, 2).await[0].event_id.as_str(), "evt_1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_was_made_before_any_dispatcher_ran_begins_at_its_first_event() {
    let stage = Stage::set().await;
    stage.make_events().await;
    for number in 1..=3 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    let id = stage.endpoint(json!({"startSequence": 2})).await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    stage.all_settled(&[&id], SOON).await;
    assert_eq!(ids(&stage.receiver), ["evt_2", "evt_3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_url_in_the_middle_loses_and_repeats_nothing() {
    const EVENTS: usize = 400;
    let stage = Stage::set().await;
    let other = Receiver::start().await;
    let _dispatchers = (stage.endpoints_dispatcher().await, stage.endpoints_dispatcher().await);
    for receiver in [&stage.receiver, &other] {
        receiver.always(Answer::status(200).slow(Duration::from_millis(100)));
    }
    let id = stage.endpoint(json!({"concurrency": 8})).await;
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(EVENTS / 8, SOON).await;
    stage.change(&id, json!({"url": other.url()})).await;
    other.wait_for(1, AT_ONCE).await;
    stage.all_settled(&[&id], SOON).await;
    let arrivals = arrivals(&[&stage.receiver, &other]);
    assert_eq!(arrivals.len(), EVENTS);
    assert!(arrivals.values().all(|&count| count == 1), "{arrivals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_wanted_events_in_the_middle_loses_and_repeats_nothing() {
    const EVENTS: usize = 300;
    let stage = Stage::set().await;
    let _dispatchers = (stage.endpoints_dispatcher().await, stage.endpoints_dispatcher().await);
    // Some events fail once, so that retries are under way, too.
    let failed = Mutex::new(HashSet::new());
    stage.receiver.answer_with(move |request| {
        let id = request.header("webhook-id").to_owned();
        let fails = id.ends_with('7') && failed.lock().unwrap().insert(id);
        Answer::status(if fails { 500 } else { 200 }).slow(Duration::from_millis(50))
    });
    let id = stage.endpoint(json!({"concurrency": 4, "events": ["message.*", "call.*"], "retry": [1, 1]})).await;
    for number in 0..EVENTS {
        let kind = if number % 3 == 0 { "call.received" } else { "message.received" };
        stage.publish(kind, &format!("{kind}_{number}")).await;
    }
    stage.receiver.wait_for(EVENTS / 6, SOON).await;
    stage.change(&id, json!({"events": ["message.*"]})).await;
    stage.all_settled(&[&id], SOON).await;
    let arrivals = arrivals(&[&stage.receiver]);
    let of = |kind: &str| arrivals.keys().filter(|id| id.starts_with(kind)).count();
    assert_eq!(of("message"), EVENTS * 2 / 3);
    assert!(of("call") > 0 && of("call") < EVENTS / 3, "{}", of("call"));
    let times = |id: &str| if id.ends_with('7') { 2 } else { 1 };
    assert!(arrivals.iter().all(|(id, &count)| count == times(id)), "{arrivals:?}");

    // The filter is wider again. What did not match in between is not delivered later.
    stage.change(&id, json!({"events": []})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.publish("call.received", "late").await;
    stage.all_settled(&[&id], SOON).await;
    assert_eq!(stage.receiver.requests().last().unwrap().header("webhook-id"), "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_can_be_changed_while_events_flow_and_each_arrives_once() {
    const EVENTS: usize = 400;
    let stage = Stage::set().await;
    let _dispatchers = (stage.endpoints_dispatcher().await, stage.endpoints_dispatcher().await);
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(100)));
    let id = stage.endpoint(json!({"concurrency": 4})).await;
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    for change in [
        json!({"concurrency": 8}),
        json!({"timeoutSeconds": 60}),
        json!({"headers": {"x-new": "1"}, "secrets": [{"secret": SigningSecret::random().reveal()}]}),
        json!({"retry": "patient", "retryJitterPercent": 20, "giveUpOn": [404]}),
        json!({"sessions": ["default"], "events": ["test", "message.*"]}),
        json!({"rateLimitPerSecond": 100}),
        json!({"timeoutSeconds": 2, "concurrency": 6, "filter": {"fromMe": true}}),
    ] {
        stage.receiver.wait_for(stage.receiver.count() + 20, SOON).await;
        stage.change(&id, change).await;
    }
    stage.all_settled(&[&id], SOON).await;
    let arrivals = arrivals(&[&stage.receiver]);
    assert_eq!(arrivals.len(), EVENTS);
    assert!(arrivals.values().all(|&count| count == 1), "{arrivals:?}");
    assert_eq!(stage.receiver.requests().last().unwrap().header("x-new"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_disabled_endpoint_wait_and_come_when_it_is_enabled() {
    let stage = Stage::set().await;
    let _dispatchers = (stage.endpoints_dispatcher().await, stage.endpoints_dispatcher().await);
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(200)));
    let id = stage.endpoint(json!({"concurrency": 4})).await;
    for number in 0..40 {
        stage.publish("test", &format!("evt_{number:02}")).await;
    }
    stage.receiver.wait_for(4, SOON).await;
    stage.change(&id, json!({"enabled": false})).await;
    tokio::time::sleep(AT_ONCE).await;
    let before = stage.receiver.count();
    assert!(before < 40);
    stage.publish("test", "evt_40").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.receiver.count(), before);
    stage.enable(&id).await;
    stage.receiver.wait_for(before + 1, AT_ONCE).await;
    stage.all_settled(&[&id], SOON).await;
    let arrivals = arrivals(&[&stage.receiver]);
    assert_eq!(arrivals.len(), 41);
    assert!(arrivals.values().all(|&count| count == 1), "{arrivals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_of_an_endpoint_that_is_enabled_again_are_made_at_once() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.answers([500_u16]);
    let id = stage.endpoint(json!({"retry": [1]})).await;
    stage.publish("test", "evt_1").await;
    stage.recorded_of(&id, 1).await;
    stage.change(&id, json!({"enabled": false})).await;
    tokio::time::sleep(AT_ONCE).await;
    assert_eq!((stage.receiver.count(), stage.retries().await), (1, 1));
    stage.enable(&id).await;
    stage.receiver.wait_for(2, AT_ONCE).await;
    stage.all_settled(&[&id], SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_endpoint_is_left() {
    let stage = Stage::set().await;
    let _dispatchers = (stage.endpoints_dispatcher().await, stage.endpoints_dispatcher().await);
    stage.receiver.always(500_u16);
    let id = stage.endpoint(json!({"retry": [600]})).await;
    stage.publish("test", "evt_1").await;
    until("its retry", SOON, || async { stage.retries().await == 1 }).await;
    // This event fails when the endpoint is gone.
    stage.receiver.always(Answer::status(500).slow(Duration::from_secs(2)));
    stage.publish("test", "evt_2").await;
    stage.receiver.wait_for(2, SOON).await;
    stage.delete(&id).await;
    nothing_left(&stage, &id, AT_ONCE).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    nothing_left(&stage, &id, SOON).await;
    assert_eq!(stage.receiver.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_endpoint_that_was_deleted_while_no_dispatcher_ran() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.always(500_u16);
    let (id, other) = (stage.endpoint(json!({"retry": [600]})).await, stage.endpoint(json!({"retry": [600]})).await);
    stage.publish("test", "evt_1").await;
    until("both retries", SOON, || async { stage.retries().await == 2 }).await;
    dispatcher.kill_9().await;
    stage.delete(&id).await;
    dispatcher.start_again();
    dispatcher.wait_ready(SOON).await;
    nothing_left(&stage, &id, AT_ONCE).await;
    let retry = RetrySubject { endpoint: &other, chat: "-", run: "live", sequence: 1 };
    let retries = stage.jetstream.get_stream(stream::RETRIES).await.unwrap();
    retries.get_last_raw_message_by_subject(&retry.waiting()).await.unwrap();
    assert_eq!(stage.retries().await, 1);
}

async fn nothing_left(stage: &Stage, id: &EndpointId, within: Duration) {
    until("both consumers and the retries to be gone", within, || async {
        let events = stage.jetstream.get_stream(stream::EVENTS).await.unwrap();
        let retries = stage.jetstream.get_stream(stream::RETRIES).await.unwrap();
        let consumers = [
            events.consumer_info(id.consumer_name()).await.is_ok(),
            retries.consumer_info(id.retries_consumer_name()).await.is_ok(),
        ];
        let mut kept = Vec::new();
        let mut subjects = retries.info_with_subjects(subject::retries_of(id)).await.unwrap();
        while let Some(Ok((subject, _))) = futures::StreamExt::next(&mut subjects).await {
            kept.push(subject);
        }
        if consumers == [false, false] && kept.is_empty() { Ok(()) } else { Err((consumers, kept)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_made_while_dispatchers_lose_nats_is_heard_when_it_is_back() {
    let mut stage = Stage::set().await;
    let settings = [NO_DEFAULT, SHORT_ACK_WAIT[0], SHORT_ACK_WAIT[1]];
    let _dispatchers = (stage.dispatcher_with(settings).await, stage.dispatcher_with(settings).await);
    let other = Receiver::start().await;
    let (changed, deleted) = (stage.endpoint(json!({})).await, stage.endpoint(json!({})).await);
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(2, SOON).await;
    stage.nats.kill().await;
    stage.nats.start_again().await;
    stage.jetstream = stage.nats.jetstream().await;
    stage.change(&changed, json!({"url": other.url()})).await;
    stage.delete(&deleted).await;
    let made = stage.endpoint(json!({"url": other.url()})).await;
    stage.nats.kill().await;
    stage.nats.start_again().await;
    stage.jetstream = stage.nats.jetstream().await;
    nothing_left(&stage, &deleted, SOON).await;
    until("the new one to be heard of", SOON, || async { stage.unsettled_of(&made).await.is_some() }).await;
    tokio::time::sleep(AT_ONCE).await;
    stage.publish("test", "evt_2").await;
    other.wait_for(2, SOON).await;
    stage.all_settled(&[&changed, &made], SOON).await;
    // NATS was killed twice and may have forgotten that the first event was settled; then it comes again, where its endpoint
    // leads by then.
    let new: Vec<_> = ids(&other).into_iter().filter(|id| id != "evt_1").collect();
    assert_eq!(new, ["evt_2", "evt_2"]);
    let old = ids(&stage.receiver);
    assert!(old.len() >= 2 && old.iter().all(|id| id == "evt_1"), "{old:?}");
}
