//! The ledger adds up, whatever was broken: every event of an endpoint is delivered, waiting, dead or filtered.

use crate::{
    replay::API_ONLY,
    stage::{AFTER_ALL_RETRIES, SOON, Stage},
};
use kurir_contract::{
    clock,
    command::CommandErrorCode,
    endpoint::{EndpointId, RetrySchedule},
    stream,
    webhook::{LedgerReport, LedgerRequest, ReplaySelection, WebhookCommand},
};
use kurir_test_harness::{Answer, until};
use serde_json::json;
use std::time::Duration;
use time::OffsetDateTime;

impl Stage {
    async fn ledger(&self, endpoint: &EndpointId) -> LedgerReport {
        self.ledger_of(endpoint, None, None).await
    }

    async fn ledger_of(
        &self,
        endpoint: &EndpointId,
        from: Option<OffsetDateTime>,
        to: Option<OffsetDateTime>,
    ) -> LedgerReport {
        let (from, to) = (from.map(clock::iso), to.map(clock::iso));
        self.ask(WebhookCommand::Ledger, &LedgerRequest { endpoint: endpoint.clone(), from, to }).await.unwrap()
    }

    /// Waits until nothing waits any more. Each ledger on the way must add up.
    async fn all_told(&self, endpoint: &EndpointId, within: Duration) -> LedgerReport {
        until("nothing to wait", within, || async {
            let ledger = self.ledger(endpoint).await;
            assert_eq!(ledger.missing, 0, "{ledger:?}");
            if ledger.waiting == 0 { Ok(ledger) } else { Err(ledger) }
        })
        .await
    }

    async fn about(&self, kind: &str, id: &str, from_me: bool) {
        let data = json!({"chat": "1@s.whatsapp.net", "fromMe": from_me});
        let body = json!({"event": kind, "timestamp": "2026-11-24T13:27:25.042Z", "data": data}).to_string();
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(kurir_contract::header::EVENT_ID, id);
        let subject = format!("whatsapp.events.default.{kind}");
        self.jetstream.publish_with_headers(subject, headers, body.into()).await.unwrap().await.unwrap();
    }
}

/// Delivered, waiting, dead, filtered; their sum; and what is missing.
fn figures(ledger: &LedgerReport) -> ([u64; 4], u64, i64) {
    ([ledger.delivered, ledger.waiting, ledger.dead, ledger.filtered], ledger.matched, ledger.missing)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_in_the_place_where_it_is() {
    let stage = Stage::set().await;
    let endpoint = stage
        .endpoint_of_api("ep_1", |settings| {
            settings.retry = RetrySchedule::Own(vec![3_600]);
            settings.give_up_on = vec![400];
            settings.events = vec!["message.*".parse().unwrap()];
            settings.filter = serde_json::from_value(json!({"fromMe": false})).unwrap();
            settings.concurrency = 4;
        })
        .await;
    let other = stage.endpoint_of_api("ep_2", |settings| settings.events = vec!["test".parse().unwrap()]).await;
    let dispatcher = stage.dispatcher_with(API_ONLY).await;
    stage.receiver.answer_with(|request| match request.header("webhook-id").split('_').next() {
        Some("dead") => Answer::status(400),
        Some("late") => Answer::status(500),
        Some("hangs") => Answer::Hang,
        _ => Answer::status(200),
    });
    assert_eq!(figures(&stage.ledger(&endpoint).await), ([0, 0, 0, 0], 0, 0));
    for number in 0..5 {
        stage.about("message.received", &format!("good_{number}"), false).await;
        stage.about("message.sent", &format!("own_{number}"), true).await;
        stage.publish("test", &format!("test_{number}")).await;
    }
    for id in ["dead_1", "dead_2", "late_1", "hangs_1"] {
        stage.about("message.received", id, false).await;
    }
    stage.receiver.wait_until("all requests", SOON, |requests| requests.len() == 5 + 5 + 4).await;
    until("the record to be complete", SOON, || async {
        let ledger = stage.ledger(&endpoint).await;
        assert_eq!(ledger.missing, 0, "{ledger:?}");
        if ledger.waiting == 2 { Ok(()) } else { Err(ledger) }
    })
    .await;
    assert_eq!(figures(&stage.ledger(&endpoint).await), ([5, 2, 2, 5], 14, 0));
    assert_eq!(figures(&stage.ledger(&other).await), ([5, 0, 0, 0], 5, 0));

    // An event whose letter was deleted is still dead.
    stage.jetstream.get_stream(stream::DEAD_LETTERS).await.unwrap().delete_message(1).await.unwrap();
    assert_eq!(figures(&stage.ledger(&endpoint).await), ([5, 2, 2, 5], 14, 0));
    // An event that a replay has delivered is delivered.
    stage.receiver.always(200_u16);
    let replay = stage.replay(&endpoint, ReplaySelection::DeadLetters).await;
    stage.done(&replay, SOON).await;
    assert_eq!(figures(&stage.ledger(&endpoint).await), ([6, 2, 1, 5], 14, 0));
    drop(dispatcher);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_adds_up_at_every_moment_while_things_break() {
    const EVENTS: usize = 1_500;
    let mut stage = Stage::set().await;
    let endpoint = stage
        .endpoint_of_api("ep_1", |settings| {
            settings.retry = RetrySchedule::Own(vec![1, 2]);
            settings.events = vec!["message.*".parse().unwrap()];
            settings.filter = serde_json::from_value(json!({"fromMe": false})).unwrap();
            settings.timeout_seconds = 1;
        })
        .await;
    let settings = [API_ONLY[0], API_ONLY[1], ("WEBHOOK_TIMEOUT", "1s"), ("WEBHOOK_ACK_WAIT", "6s")];
    let mut first = stage.dispatcher_with(settings).await;
    let mut second = stage.dispatcher_with(settings).await;
    // Some events fail forever, some for a time, some do not match.
    let recovers = std::time::Instant::now() + Duration::from_secs(8);
    stage.receiver.answer_with(move |request| {
        let number: usize = request.header("webhook-id").trim_start_matches("evt_").parse().unwrap_or_default();
        let fails = number.is_multiple_of(50) || (number.is_multiple_of(10) && std::time::Instant::now() < recovers);
        Answer::status(if fails { 500 } else { 200 }).slow(Duration::from_millis(5))
    });
    for number in 0..EVENTS {
        stage.about("message.received", &format!("evt_{number}"), number % 7 == 0).await;
        if number % 300 == 150 {
            first.kill_9().await;
            first.start_again();
        }
        if number == 800 {
            stage.nats.kill().await;
            stage.nats.start_again().await;
            stage.jetstream = stage.nats.jetstream().await;
        }
        if number == 1_000 {
            second.kill_9().await;
        }
        if number % 100 == 0 && number > 0 {
            first.wait_ready(SOON).await;
            let ledger = stage.ledger(&endpoint).await;
            eprintln!("{number}: {ledger:?}");
            assert_eq!((ledger.missing, ledger.matched), (0, number as u64 + 1), "{ledger:?}");
        }
    }
    let ledger = stage.all_told(&endpoint, AFTER_ALL_RETRIES).await;
    let filtered = EVENTS.div_ceil(7) as u64;
    // 0, 50, 100, … without those that were not sent.
    let dead = (0..EVENTS).filter(|number| number % 50 == 0 && number % 7 != 0).count() as u64;
    assert_eq!((ledger.matched, ledger.filtered), (EVENTS as u64, filtered), "{ledger:?}");
    assert!(ledger.dead >= dead, "{ledger:?}");

    stage.receiver.always(200_u16);
    let replay = stage.replay(&endpoint, ReplaySelection::DeadLetters).await;
    // An event that came back after a crash may have been delivered besides its letter. Then it is delivered.
    assert!(replay.total >= ledger.dead, "{replay:?}");
    stage.done(&replay, AFTER_ALL_RETRIES).await;
    let ledger = stage.all_told(&endpoint, SOON).await;
    assert_eq!(figures(&ledger), ([EVENTS as u64 - filtered, 0, 0, filtered], EVENTS as u64, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_any_try_leaves_no_gap_in_the_record() {
    let mut stage = Stage::set().await;
    let endpoint = EndpointId::default();
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_secs(2)));
    for number in 0..5 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(5, SOON).await;
    // The paused server accepts what is sent and does nothing with it: that is lost, and not only late.
    stage.nats.pause();
    tokio::time::sleep(Duration::from_secs(25)).await;
    stage.nats.kill().await;
    stage.nats.start_again().await;
    stage.jetstream = stage.nats.jetstream().await;
    let ledger = stage.all_told(&endpoint, AFTER_ALL_RETRIES).await;
    assert_eq!(figures(&ledger), ([5, 0, 0, 0], 5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_holds_what_was_stored_within_it() {
    let stage = Stage::set().await;
    let endpoint = EndpointId::default();
    let _dispatcher = stage.dispatcher().await;
    let mut times = Vec::new();
    for number in 0..30 {
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            times.push(OffsetDateTime::now_utc());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(30, SOON).await;
    assert_eq!(stage.all_told(&endpoint, SOON).await.delivered, 30);
    let later = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
    for (from, to, delivered) in [
        (None, None, 30),
        (Some(times[0]), None, 30),
        (Some(times[1]), None, 20),
        (None, Some(times[1]), 10),
        (Some(times[1]), Some(times[2]), 10),
        (Some(times[2]), Some(later), 10),
        (Some(later), None, 0),
        (None, Some(times[0]), 0),
    ] {
        let ledger = stage.ledger_of(&endpoint, from, to).await;
        assert_eq!(figures(&ledger), ([delivered, 0, 0, 0], delivered, 0), "{ledger:?}");
        assert_eq!((ledger.from, to.is_none() || ledger.to == clock::iso(to.unwrap())), (from.map(clock::iso), true));
    }
    for (request, said) in [
        (LedgerRequest { endpoint: "ep_none".parse().unwrap(), from: None, to: None }, "no endpoint"),
        (LedgerRequest { endpoint: endpoint.clone(), from: Some("?".into()), to: None }, "from is \"?\""),
        (
            LedgerRequest { endpoint: endpoint.clone(), from: Some(clock::iso(later)), to: Some(clock::iso(times[0])) },
            "later than from",
        ),
    ] {
        let refusal = stage.ask::<LedgerReport>(WebhookCommand::Ledger, &request).await.unwrap_err();
        assert_eq!(refusal.code, CommandErrorCode::InvalidRequest);
        assert!(refusal.message.contains(said), "{refusal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_before_the_record_begins_is_not_told_of() {
    let stage = Stage::set().await;
    let endpoint = EndpointId::default();
    let _dispatcher = stage.dispatcher().await;
    let begin = OffsetDateTime::now_utc();
    for number in 0..10 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(10, SOON).await;
    stage.all_told(&endpoint, SOON).await;
    // From now on the record is kept for a second.
    let deliveries = stage.jetstream.get_stream(stream::DELIVERIES).await.unwrap();
    let mut config = deliveries.cached_info().config.clone();
    config.max_age = Duration::from_secs(1);
    config.duplicate_window = Duration::from_secs(1);
    stage.jetstream.update_stream(config).await.unwrap();
    until("the record to be gone", SOON, || async { stage.count(stream::DELIVERIES).await == 0 }).await;

    let ledger = stage.ledger(&endpoint).await;
    assert_eq!(figures(&ledger), ([0, 0, 0, 0], 0, 0));
    assert!(ledger.from.is_some(), "it says how far back it goes");
    let request = LedgerRequest { endpoint, from: Some(clock::iso(begin)), to: None };
    let refusal = stage.ask::<LedgerReport>(WebhookCommand::Ledger, &request).await.unwrap_err();
    assert_eq!(refusal.code, CommandErrorCode::InvalidRequest);
    assert!(refusal.message.contains("goes back to"), "{refusal:?}");
}

/// No dispatcher saw this event settled, but NATS says that it is: its place cannot be known.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_lost_is_told_of() {
    let stage = Stage::set().await;
    let endpoint = EndpointId::default();
    let mut dispatcher = stage.dispatcher().await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    stage.all_told(&endpoint, SOON).await;
    dispatcher.kill_9().await;
    // Another client takes an event from the endpoint's consumer.
    stage.publish("test", "evt_2").await;
    let events = stage.jetstream.get_stream(stream::EVENTS).await.unwrap();
    let consumer: async_nats::jetstream::consumer::PullConsumer =
        events.get_consumer(&endpoint.consumer_name()).await.unwrap();
    // The requests of the dead dispatcher are gone when NATS has noticed the end of its connection.
    let mut taken = consumer.batch().max_messages(1).expires(SOON).messages().await.unwrap();
    let message = futures::StreamExt::next(&mut taken).await.unwrap().unwrap();
    message.double_ack().await.unwrap();
    dispatcher.start_again();
    dispatcher.wait_ready(SOON).await;
    stage.publish("test", "evt_3").await;
    stage.receiver.wait_for(2, SOON).await;
    let told = until("the event to be missing", SOON, || async {
        let ledger = stage.ledger(&endpoint).await;
        if ledger.waiting == 0 { Ok(ledger) } else { Err(ledger) }
    })
    .await;
    assert_eq!(figures(&told), ([2, 0, 0, 0], 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_does_not_do_is_no_fault_of_kurirs_but_what_it_holds_is() {
    let stage = Stage::set().await;
    let endpoint = stage.endpoint_of_api("ep_1", |_| ()).await;
    let _dispatcher = stage.dispatcher_with(API_ONLY).await;
    let refused = async |endpoint: &EndpointId| {
        let request = LedgerRequest { endpoint: endpoint.clone(), from: None, to: None };
        stage.ask::<LedgerReport>(WebhookCommand::Ledger, &request).await.unwrap_err().code
    };
    let bucket = stage.jetstream.get_key_value(kurir_contract::endpoint::BUCKET).await.unwrap();
    bucket.put("ep_2", "?".into()).await.unwrap();
    assert_eq!(refused(&"ep_2".parse().unwrap()).await, CommandErrorCode::Internal);
    stage.jetstream.delete_stream(stream::DEAD_LETTERS).await.unwrap();
    assert_eq!(refused(&endpoint).await, CommandErrorCode::BrokerUnavailable);
}
