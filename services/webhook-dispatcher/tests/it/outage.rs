//! A receiver that is away makes no dead letters: its events make their scheduled attempts and then wait for it. An event
//! that fails while the receiver works is given up as before.

use crate::stage::{
    AFTER_ALL_RETRIES, SOON, Stage,
    endpoints::{NO_DEFAULT, arrivals},
};
use kurir_contract::endpoint::{CircuitState, EndpointId};
use kurir_test_harness::{Answer, Port, Receiver, Request, until};
use serde_json::{Value, json};
use std::{collections::HashSet, time::Duration};

/// Longer than the contract's whole schedule.
const OUTAGE: Duration = Duration::from_secs(22);
/// A probe comes within a tenth of the outage, and then the backlog.
const BACK_WITHIN: Duration = Duration::from_secs(30);

async fn failing(stage: &Stage, id: &EndpointId) {
    let state = until(format!("endpoint {id} to be called failing"), SOON, || async { stage.state(id).await }).await;
    assert!(state.failing_since.is_some() && state.last_error.is_some(), "{state:?}");
}

fn chat(number: u64) -> Value {
    json!({"from": format!("chat{}", number % 2), "n": number})
}

fn numbers(receiver: &Receiver, chat: u64) -> Vec<u64> {
    let mut seen = HashSet::new();
    let number = |request: &Request| {
        let event: Value = serde_json::from_slice(&request.body).ok()?;
        event["data"]["n"].as_u64()
    };
    let numbers: Vec<u64> = receiver.requests().iter().filter_map(number).filter(|n| n % 2 == chat).collect();
    numbers.into_iter().filter(|number| seen.insert(*number)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_receiver_is_down_no_sort_of_endpoint_loses_an_event() {
    let mut stage = Stage::set().await;
    let mut receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let mut dispatcher = stage.dispatcher().await;
    let mut ids = vec![EndpointId::default()];
    for (receiver, settings) in receivers.iter().zip([
        json!({"retry": "default"}),
        json!({"retry": "default", "ordering": "chat"}),
        json!({"retry": []}),
    ]) {
        let mut settings = settings;
        settings["url"] = receiver.url().into();
        settings["events"] = json!(["message.received"]);
        ids.push(stage.endpoint(settings).await);
    }
    stage.receiver.stop().await;
    for receiver in &mut receivers {
        receiver.stop().await;
    }
    for number in 0..10 {
        stage.store("default", "message.received", &format!("evt_{number}"), chat(number)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for id in &ids {
        failing(&stage, id).await;
    }
    // The first event makes its scheduled attempts.
    for line in ["(attempt 4/4)", "it waits until the receiver is back"] {
        dispatcher.wait_for_line(|said| said.contains(line), AFTER_ALL_RETRIES).await;
    }
    tokio::time::sleep(OUTAGE / 2).await;
    assert!(stage.dead_letters().await.is_empty(), "{:?}", stage.dead_letters().await);
    stage.receiver.start_again();
    receivers.iter_mut().for_each(Receiver::start_again);
    stage.all_settled(&ids.iter().collect::<Vec<_>>(), 2 * BACK_WITHIN).await;
    assert!(stage.dead_letters().await.is_empty(), "{:?}", stage.dead_letters().await);
    for receiver in receivers.iter() {
        let arrivals = arrivals(&[receiver]);
        assert!(arrivals.len() == 10 && arrivals.values().all(|&count| count == 1), "{arrivals:?}");
    }
    for chat in [0, 1] {
        let numbers = numbers(&receivers[1], chat);
        assert!(numbers.is_sorted() && numbers.len() == 5, "{numbers:?}");
    }
    for id in &ids {
        until("no state to be left", SOON, || async { stage.state(id).await.is_none() }).await;
    }
    let arrivals = arrivals(&[&stage.receiver]);
    assert!((0..10).all(|number| arrivals[&format!("evt_{number}")] == 1), "{arrivals:?}");
}

/// What proxies and starting servers answer, and what is no server at all.
#[tokio::test(flavor = "multi_thread")]
async fn every_sort_of_outage_is_waited_for() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let mut endpoints = Vec::new();
    for status in [502_u16, 503, 504] {
        let receiver = Receiver::start().await;
        receiver.always(status);
        let id =
            stage.endpoint(json!({"url": receiver.url(), "retry": [1], "timeoutSeconds": 3, "events": ["test"]})).await;
        endpoints.push((id, Some(receiver)));
    }
    // No such name, and nobody who listens.
    let nobody = Port::reserve();
    let refused = format!("http://{}/webhook", nobody.addr());
    for url in ["http://no-such-host.invalid/webhook", refused.as_str()] {
        let settings = json!({"url": url, "retry": [1], "timeoutSeconds": 3, "events": ["test"]});
        endpoints.push((stage.endpoint(settings).await, None));
    }
    stage.publish("test", "evt_1").await;
    for (id, _) in &endpoints {
        until("the circuit to open", AFTER_ALL_RETRIES, || async {
            let state = stage.state(id).await;
            if state.as_ref().is_some_and(|state| state.opened) { Ok(()) } else { Err((id.clone(), state)) }
        })
        .await;
    }
    assert!(stage.dead_letters().await.is_empty(), "{:?}", stage.dead_letters().await);
    for (id, receiver) in &endpoints {
        match receiver {
            Some(receiver) => receiver.always(200_u16),
            None => stage.change(id, json!({"url": stage.receiver.url()})).await,
        }
    }
    stage.all_settled(&endpoints.iter().map(|(id, _)| id).collect::<Vec<_>>(), 2 * BACK_WITHIN).await;
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fails_while_others_are_accepted_is_given_up() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.answer_with(|request| match request.header("webhook-id") {
        // A proxy answers so when its server dies of the request.
        "evt_bad_gateway" => Answer::status(502),
        "evt_silent" => Answer::Hang,
        "evt_reset" => Answer::Reset,
        _ => Answer::status(200),
    });
    let id = stage.endpoint(json!({"retry": [2, 2], "timeoutSeconds": 1, "events": ["test"]})).await;
    for bad in ["evt_bad_gateway", "evt_silent", "evt_reset"] {
        stage.publish("test", bad).await;
    }
    let mut fine = 0;
    let letters = until("three dead letters", AFTER_ALL_RETRIES, || {
        fine += 1;
        let event = format!("evt_{fine}");
        let stage = &stage;
        async move {
            stage.publish("test", &event).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let letters = stage.dead_letters().await;
            if letters.len() == 3 { Ok(letters) } else { Err(letters.len()) }
        }
    })
    .await;
    assert!(letters.iter().all(|letter| letter.attempts == 3), "{letters:?}");
    stage.all_settled(&[&id], SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_an_outage_when_several_events_in_a_row_end_so() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.always(Answer::Hang);
    let alone = Receiver::start().await;
    alone.always(Answer::Hang);
    let retry = json!({"retry": [1], "timeoutSeconds": 1});
    let many = stage.endpoint(json!({"events": ["message.received"], "retry": [1, 1, 1], "timeoutSeconds": 1})).await;
    let mut one = retry.clone();
    one["url"] = alone.url().into();
    one["events"] = json!(["test"]);
    let one = stage.endpoint(one).await;
    stage.publish("test", "evt_alone").await;
    for number in 0..6 {
        stage.publish("message.received", &format!("evt_{number}")).await;
    }
    until("a dead letter of the event that is alone", AFTER_ALL_RETRIES, || async {
        stage.dead_letters().await.len() == 1
    })
    .await;
    until("the circuit of the others to open", AFTER_ALL_RETRIES, || async {
        stage.state(&many).await.is_some_and(|state| state.circuit != CircuitState::Closed)
    })
    .await;
    stage.receiver.always(200_u16);
    stage.all_settled(&[&many, &one], 2 * BACK_WITHIN).await;
    let letters = stage.dead_letters().await;
    assert!(letters.iter().all(|letter| letter.endpoint == one), "{letters:?}");
}

/// n8n answers 404 while it starts.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_waited_has_its_whole_schedule_again_while_the_receiver_starts() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.always(503_u16);
    let id = stage.endpoint(json!({"retry": [1, 1], "events": ["test"]})).await;
    stage.publish("test", "evt_1").await;
    until("the circuit to open", SOON, || async { stage.state(&id).await.is_some_and(|state| state.opened) }).await;
    let waited = stage.receiver.count();
    stage.receiver.always(404_u16);
    stage.receiver.wait_for(waited + 2, SOON).await;
    stage.receiver.always(200_u16);
    stage.all_settled(&[&id], SOON).await;
    assert!(stage.dead_letters().await.is_empty());
    let attempts = stage.recorded_of(&id, 1).await;
    assert!(attempts.last().is_some_and(|last| last.attempt > 3), "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_since_and_last_error_tell_of_a_single_failure_and_end_with_the_first_success() {
    let stage = Stage::set().await;
    let _dispatchers = (stage.dispatcher_with([NO_DEFAULT]).await, stage.dispatcher_with([NO_DEFAULT]).await);
    stage.receiver.always(500_u16);
    let plain = stage.endpoint(json!({"retry": [2, 60]})).await;
    let ordered = stage.endpoint(json!({"retry": [2, 60], "ordering": "chat"})).await;
    stage.publish("test", "evt_1").await;
    for id in [&plain, &ordered] {
        let state = until("a failure to be shown", SOON, || async { stage.state(id).await }).await;
        assert_eq!(state.last_error.as_deref(), Some("the receiver answered 500"));
        assert_eq!(state.circuit, CircuitState::Closed);
    }
    stage.receiver.always(200_u16);
    stage.all_settled(&[&plain, &ordered], AFTER_ALL_RETRIES).await;
    for id in [&plain, &ordered] {
        until("no failure to be shown", SOON, || async { stage.state(id).await.is_none() }).await;
    }
    assert!(stage.events("endpoint.recovered").await.is_empty(), "its events were sent all the time");
}
