//! Streams, consumers and buckets may vanish at any time: positions are not confused, what is missing comes back by itself,
//! and nothing is deleted that nobody has deleted.

use crate::stage::{
    AFTER_ALL_RETRIES, SOON, Stage,
    endpoints::{NO_DEFAULT, arrivals},
};
use kurir_contract::{
    endpoint::{BUCKET, EndpointId},
    stream,
};
use kurir_test_harness::{Answer, Receiver, until};
use serde_json::{Value, json};
use std::time::Duration;

/// The silence of NATS, and the repair.
const REPAIRED_WITHIN: Duration = Duration::from_secs(40);

async fn publish(stage: &Stage, names: &str, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let event = format!("evt_{names}_{number}");
        until(format!("{event} to be stored"), SOON, || async {
            let data = json!({"from": "chat", "n": number});
            let body = json!({"event": "message.received", "timestamp": "2026-11-24T13:27:25.042Z", "data": data});
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", event.as_str());
            let subject = "whatsapp.events.default.message.received";
            let sent = stage.jetstream.publish_with_headers(subject, headers, body.to_string().into()).await;
            sent.map_err(|error| error.to_string())?.await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
}

/// An endpoint of each sort, with a receiver each.
async fn both(stage: &Stage, settings: Value) -> Vec<(EndpointId, Receiver)> {
    let mut endpoints = Vec::new();
    for ordering in ["none", "chat"] {
        let receiver = Receiver::start().await;
        let mut settings = settings.clone();
        settings["url"] = receiver.url().into();
        settings["ordering"] = ordering.into();
        settings["events"] = json!(["message.received"]);
        endpoints.push((stage.endpoint(settings).await, receiver));
    }
    endpoints
}

async fn all_arrived(endpoints: &[(EndpointId, Receiver)], names: &str, count: usize, within: Duration) {
    for (id, receiver) in endpoints {
        until(format!("{count} events {names} at {id}"), within, || async {
            let arrivals = arrivals(&[receiver]);
            let missing: Vec<_> =
                (0..count).map(|n| format!("evt_{names}_{n}")).filter(|event| !arrivals.contains_key(event)).collect();
            if missing.is_empty() { Ok(()) } else { Err(missing) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_and_made_again_is_received_from_its_start() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    publish(&stage, "early", 0..20).await;
    let endpoints = both(&stage, json!({})).await;
    publish(&stage, "old", 0..5).await;
    all_arrived(&endpoints, "old", 5, SOON).await;
    stage.jetstream.delete_stream(stream::EVENTS).await.unwrap();
    publish(&stage, "new", 0..3).await;
    all_arrived(&endpoints, "new", 3, REPAIRED_WITHIN).await;
    let told = stage.told("error.occurred", 2, SOON).await;
    assert!(told.iter().all(|told| told["errorType"] == "webhook.events.restarted"), "{told:?}");
    for (id, _) in &endpoints {
        let settings = stage.settings(id).await;
        assert!(settings.start_sequence == 0 && settings.stream_created.is_some(), "{settings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_beyond_the_stream_or_in_another_stream_is_the_start_of_the_present_one() {
    let stage = Stage::set().await;
    stage.make_events().await;
    publish(&stage, "there", 0..3).await;
    // Only the bucket of endpoints survived.
    let mut endpoints = both(&stage, json!({"startSequence": 500})).await;
    endpoints.extend(both(&stage, json!({"startSequence": 3, "streamCreated": "2020-01-01T00:00:00Z"})).await);
    let _dispatcher = stage.endpoints_dispatcher().await;
    all_arrived(&endpoints, "there", 3, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_wait_from_an_older_stream_do_not_swallow_new_ones() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let endpoints = both(&stage, json!({"retry": [3600]})).await;
    for (_, receiver) in &endpoints {
        receiver.always(500_u16);
    }
    publish(&stage, "old", 0..4).await;
    until("all old events to wait", SOON, || async {
        let waiting = stage.retries().await;
        if waiting == 8 { Ok(()) } else { Err(waiting) }
    })
    .await;
    stage.jetstream.delete_stream(stream::EVENTS).await.unwrap();
    for (_, receiver) in &endpoints {
        receiver.forget();
        receiver.always(200_u16);
    }
    publish(&stage, "new", 0..4).await;
    all_arrived(&endpoints, "new", 4, REPAIRED_WITHIN).await;
    // What the old stream held is gone, and does not disappear silently.
    let ordered = &endpoints[1].0;
    until("dead letters of the old events", SOON, || async {
        let letters = stage.dead_letters().await;
        let of_ordered = letters.iter().filter(|letter| letter.endpoint == *ordered).count();
        if of_ordered == 4 { Ok(()) } else { Err(letters) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_consumer_and_stream_may_vanish_and_comes_back() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let endpoints = both(&stage, json!({"retry": [1]})).await;
    publish(&stage, "first", 0..2).await;
    all_arrived(&endpoints, "first", 2, SOON).await;
    let events = stage.jetstream.get_stream(stream::EVENTS).await.unwrap();
    for (id, _) in &endpoints {
        events.delete_consumer(&id.consumer_name()).await.unwrap();
    }
    publish(&stage, "second", 0..2).await;
    all_arrived(&endpoints, "second", 2, REPAIRED_WITHIN).await;

    stage.jetstream.delete_stream(stream::RETRIES).await.unwrap();
    for (_, receiver) in &endpoints {
        receiver.answers([500_u16]);
    }
    publish(&stage, "third", 0..2).await;
    all_arrived(&endpoints, "third", 2, REPAIRED_WITHIN).await;
    until("the failed events to be delivered", REPAIRED_WITHIN, || async {
        let left: Vec<u64> = vec![
            stage.unsettled_of(&endpoints[0].0).await.unwrap_or(99),
            stage.unsettled_of(&endpoints[1].0).await.unwrap_or(99),
            stage.retries().await,
        ];
        if left == [0, 0, 0] { Ok(()) } else { Err(left) }
    })
    .await;
    stage.jetstream.delete_stream(stream::DELIVERIES).await.unwrap();
    stage.jetstream.delete_stream(stream::DEAD_LETTERS).await.unwrap();
    for (_, receiver) in &endpoints {
        receiver.always(500_u16);
    }
    publish(&stage, "fourth", 0..1).await;
    until("dead letters in the new stream", AFTER_ALL_RETRIES, || async {
        let letters = stage.jetstream.get_stream(stream::DEAD_LETTERS).await.map_err(|error| error.to_string())?;
        let count = letters.cached_info().state.messages;
        if count == 2 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_vanish_with_their_bucket_lose_neither_position_nor_retries() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.endpoints_dispatcher().await;
    let endpoints = both(&stage, json!({"retry": [3600]})).await;
    publish(&stage, "done", 0..2).await;
    all_arrived(&endpoints, "done", 2, SOON).await;
    for (_, receiver) in &endpoints {
        receiver.answers([500_u16]);
    }
    publish(&stage, "waiting", 0..1).await;
    until("the retries to wait", SOON, || async { stage.retries().await == 2 }).await;
    let mut kept = Vec::new();
    for (id, _) in &endpoints {
        kept.push((id.clone(), serde_json::to_value(stage.settings(id).await).unwrap()));
    }
    stage.jetstream.delete_key_value(BUCKET).await.unwrap();
    dispatcher.terminate(SOON).await;
    dispatcher.start_again();
    dispatcher.wait_ready(SOON).await;
    let line = "which nobody has deleted";
    dispatcher.wait_for_line(|said| said.contains(line), SOON).await;
    publish(&stage, "meanwhile", 0..2).await;
    for (id, settings) in kept {
        stage.endpoint_named(&id, settings).await;
    }
    for (id, _) in &endpoints {
        // The event that failed holds up its chat.
        if *id == endpoints[0].0 {
            all_arrived(&endpoints[..1], "meanwhile", 2, SOON).await;
        }
    }
    assert_eq!(arrivals(&[&endpoints[0].1]).values().max(), Some(&1), "nothing is delivered twice");
    // An endpoint that somebody deletes leaves nothing.
    stage.delete(&endpoints[0].0).await;
    until("the retries of the deleted endpoint to be gone", SOON, || async {
        stage.unsettled_of(&endpoints[0].0).await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_dispatcher_goes_on_when_the_bucket_of_endpoints_vanishes() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with([NO_DEFAULT]).await;
    let endpoints = both(&stage, json!({"retry": [1]})).await;
    publish(&stage, "before", 0..1).await;
    all_arrived(&endpoints, "before", 1, SOON).await;
    stage.jetstream.delete_key_value(BUCKET).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    for (_, receiver) in &endpoints {
        receiver.answers([Answer::status(500)]);
    }
    publish(&stage, "after", 0..2).await;
    all_arrived(&endpoints, "after", 2, SOON).await;
}
