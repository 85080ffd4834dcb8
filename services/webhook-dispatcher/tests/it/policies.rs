//! The retry policy of an endpoint: its schedule, what jitter and the receiver add to it, and what ends it.

use crate::stage::{SHORT_ACK_WAIT, SOON, Stage, endpoints::NO_DEFAULT};
use kurir_contract::{delivery::AttemptResult, endpoint::EndpointId, header, stream, subject::RetrySubject};
use kurir_test_harness::{Answer, until};
use serde_json::json;
use std::time::{Duration, SystemTime};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The time until the stored retry of an event is due, and which attempt it is.
async fn kept(stage: &Stage, endpoint: &EndpointId, sequence: u64) -> (f64, u32) {
    let retry = RetrySubject { endpoint, chat: "-", run: "live", sequence };
    let retries = stage.jetstream.get_stream(stream::RETRIES).await.unwrap();
    let kept = retries.get_last_raw_message_by_subject(&retry.waiting()).await.unwrap();
    let text = |name| kept.headers.get(name).unwrap().as_str().to_owned();
    let at = OffsetDateTime::parse(text(header::SCHEDULE).strip_prefix("@at ").unwrap(), &Rfc3339).unwrap();
    ((at - OffsetDateTime::now_utc()).as_seconds_f64(), text(header::ATTEMPT).parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_schedule_with_jitter_is_kept_and_chance_only_adds() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.always(500_u16);
    let id = stage.endpoint(json!({"retry": [1, 2], "retryJitterPercent": 100})).await;
    for number in 0..10 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    let requests = stage.receiver.wait_for(30, SOON).await;
    stage.all_settled(&[&id], SOON).await;
    let mut seconds = Vec::new();
    for number in 0..10 {
        let id = format!("evt_{number}");
        let of_one: Vec<_> = requests.iter().filter(|request| request.header("webhook-id") == id).collect();
        assert_eq!(of_one.len(), 3);
        for (pair, due) in of_one.windows(2).zip([1, 2]) {
            let gap = pair[1].at - pair[0].at;
            assert!(gap >= Duration::from_secs(due) && gap < Duration::from_secs(2 * due + 2), "{gap:?} for {due} s");
            seconds.push(gap.as_secs());
        }
    }
    assert!(stage.receiver.count() == 30 && stage.dead_letters().await.len() == 10);
    eprintln!("gaps: {seconds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_of_a_busy_receiver_is_a_pause_and_any_other_is_ignored() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
    let cases = [
        (Answer::status(429).header("retry-after", "300"), 300.0, 1),
        (Answer::status(503).header("retry-after", &date), 600.0, 1),
        (Answer::status(503).header("retry-after", "999999999"), 3_600.0, 1),
        (Answer::status(500).header("retry-after", "300"), 60.0, 2),
        (Answer::status(503), 60.0, 2),
    ];
    let mut endpoints = Vec::new();
    for (answer, seconds, attempt) in cases {
        let receiver = kurir_test_harness::Receiver::start().await;
        receiver.always(answer);
        let id = stage.endpoint(json!({"url": receiver.url(), "retry": [60], "events": ["test"]})).await;
        endpoints.push((id, receiver, seconds, attempt));
    }
    stage.publish("test", "evt_1").await;
    for (id, receiver, seconds, expected) in &endpoints {
        stage.recorded_of(id, 1).await;
        let (due, attempt) = kept(&stage, id, 1).await;
        assert!(due > seconds - 30.0 && due <= *seconds, "{id}: {due} instead of {seconds} s");
        assert_eq!((attempt, receiver.count()), (*expected, 1));
    }
    // While it is paused, its other events wait, too.
    stage.publish("test", "evt_2").await;
    stage.recorded_of(&endpoints[3].0, 2).await;
    let counts: Vec<usize> = endpoints.iter().map(|(_, receiver, ..)| receiver.count()).collect();
    assert_eq!(counts[..4], [1, 1, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_end_it_end_it_at_once() {
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let id = stage.endpoint(json!({"retry": [600], "giveUpOn": [400, 404]})).await;
    for (number, status) in [(1, 400_u16), (2, 404), (3, 500)] {
        stage.receiver.answers([status]);
        stage.publish("test", &format!("evt_{number}")).await;
        stage.recorded_of(&id, number).await;
        // Reported before the next is published, so that each has its place in the stream.
        let told = number.min(2);
        until("the dead letters to be told of", SOON, || async {
            let events = stage.events("error.occurred").await.len();
            if events == told { Ok(()) } else { Err(events) }
        })
        .await;
    }
    let mut letters = stage.dead_letters().await;
    letters.sort_by(|a, b| a.event_id.cmp(&b.event_id));
    let dead: Vec<_> = letters.iter().map(|letter| (letter.event_id.as_str(), letter.attempts)).collect();
    assert_eq!(dead, [("evt_1", 1), ("evt_2", 1)]);
    assert!(letters.iter().all(|letter| letter.endpoint == id));
    // Each is reported to all but the endpoint itself, and the third waits.
    assert_eq!(stage.events("error.occurred").await.len(), 2);
    assert_eq!(kept(&stage, &id, 5).await.1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_answers_is_judged_as_the_contract_has_it() {
    const DELIVERED: [u16; 5] = [200, 201, 202, 204, 299];
    // A 429 is no failure, and 502 to 504 are an outage: `backpressure` and `outage` are about them.
    const FAILED: [u16; 21] =
        [300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 425, 500, 501, 599];
    let stage = Stage::set().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.answer_with(|request| Answer::status(request.header("webhook-id").parse().unwrap()));
    let id = stage.endpoint(json!({"retry": [1], "events": ["test"]})).await;
    for status in DELIVERED.into_iter().chain(FAILED) {
        stage.publish("test", &status.to_string()).await;
    }
    stage.all_settled(&[&id], SOON).await;
    let attempts = stage.recorded_of(&id, DELIVERED.len() + 2 * FAILED.len()).await;
    let of = |status: u16| {
        let id = status.to_string();
        let of_it: Vec<_> = attempts.iter().filter(|attempt| attempt.event_id.as_str() == id).collect();
        (of_it.len(), of_it.iter().all(|attempt| matches!(attempt.result, AttemptResult::Delivered { .. })))
    };
    for status in DELIVERED {
        assert_eq!(of(status), (1, true), "{status}");
    }
    for status in FAILED {
        assert_eq!(of(status), (2, false), "{status}");
    }
    assert_eq!(stage.dead_letters().await.len(), FAILED.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_disabled_and_its_event_is_delivered_when_it_is_enabled() {
    let stage = Stage::set().await;
    let settings = [NO_DEFAULT, SHORT_ACK_WAIT[0], SHORT_ACK_WAIT[1]];
    let _dispatchers = (stage.dispatcher_with(settings).await, stage.dispatcher_with(settings).await);
    stage.receiver.always(410_u16);
    let id = stage.endpoint(json!({"description": "a flow"})).await;
    stage.publish("test", "evt_1").await;
    let reason = stage.disabled(&id, SOON).await;
    assert!(reason.contains("410"), "{reason}");
    let told = stage.told("endpoint.disabled", 1, SOON).await;
    assert_eq!((&told[0]["endpoint"], &told[0]["description"]), (&json!(id), &json!("a flow")));
    stage.publish("test", "evt_2").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(stage.state(&id).await.is_none() && stage.dead_letters().await.is_empty());

    stage.receiver.forget();
    stage.receiver.always(200_u16);
    stage.enable(&id).await;
    stage.all_settled(&[&id], SOON).await;
    // The event about itself is not sent to it.
    assert_eq!(crate::stage::endpoints::ids(&stage.receiver), ["evt_1", "evt_2"]);
    assert_eq!(stage.events("endpoint.disabled").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_endpoint_retries_410_as_the_contract_has_it() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.answers([410_u16]);
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(2, SOON).await;
    stage.settled(SOON).await;
    assert!(stage.events("endpoint.disabled").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_of_hours_outlives_dispatchers_and_nats() {
    let mut stage = Stage::set().await;
    let mut dispatcher = stage.endpoints_dispatcher().await;
    stage.receiver.always(500_u16);
    let patient = stage.endpoint(json!({"retry": "patient"})).await;
    let own = stage.endpoint(json!({"retry": [7_200], "retryJitterPercent": 10})).await;
    stage.publish("test", "evt_1").await;
    // The first delays of the patient schedule are 2, 5, 15 and 30 s, the fifth is a minute.
    stage.receiver.wait_for(6, Duration::from_secs(90)).await;
    stage.recorded_of(&patient, 5).await;
    stage.recorded_of(&own, 1).await;
    for _ in 0..2 {
        let (due, attempt) = kept(&stage, &patient, 1).await;
        assert!(attempt == 6 && (0.0..=60.0).contains(&due), "{attempt} in {due} s");
        let (due, attempt) = kept(&stage, &own, 1).await;
        assert!(attempt == 2 && (7_140.0..=7_920.0).contains(&due), "{attempt} in {due} s");
        dispatcher.kill_9().await;
        stage.nats.kill().await;
        stage.nats.start_again().await;
        stage.jetstream = stage.nats.jetstream().await;
        dispatcher.start_again();
        dispatcher.wait_ready(SOON).await;
    }
    assert_eq!((stage.receiver.count(), stage.retries().await), (6, 2));
    // The retry is made when it is due: here, because a due one replaces the schedule.
    let retry = RetrySubject { endpoint: &own, chat: "-", run: "live", sequence: 1 };
    let retries = stage.jetstream.get_stream(stream::RETRIES).await.unwrap();
    let mut headers = retries.get_last_raw_message_by_subject(&retry.waiting()).await.unwrap().headers;
    headers.insert(header::SCHEDULE, format!("@at {}", kurir_contract::clock::now_iso()));
    headers.insert(header::SCHEDULE_TARGET, retry.due());
    stage.jetstream.publish_with_headers(retry.waiting(), headers, "".into()).await.unwrap().await.unwrap();
    stage.receiver.wait_for(7, SOON).await;
    assert_eq!(stage.recorded_of(&own, 2).await[1].attempt, 2);
}
