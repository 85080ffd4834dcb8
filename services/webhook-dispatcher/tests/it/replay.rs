//! Events are delivered again on request: under the same id, marked, and besides everything else.

use crate::stage::{AFTER_ALL_RETRIES, SHORT_ACK_WAIT, SOON, Stage};
use kurir_contract::{
    clock,
    command::{CommandError, CommandErrorCode},
    endpoint::{BUCKET, EndpointId, RetrySchedule},
    stream, subject,
    webhook::{Replay, ReplayReference, ReplayRequest, ReplaySelection, ReplayState, WebhookCommand},
};
use kurir_test_harness::{Answer, Request, until};
use std::{collections::HashSet, time::Duration};
use time::OffsetDateTime;

/// A minute ago: before everything that a test stores.
fn before_all() -> ReplaySelection {
    since(OffsetDateTime::now_utc() - Duration::from_secs(60))
}

fn since(at: OffsetDateTime) -> ReplaySelection {
    ReplaySelection::Since { since: clock::iso(at) }
}

fn is_replay(request: &Request) -> bool {
    request.header("kurir-replay") == "true"
}

fn ids(requests: &[Request]) -> Vec<String> {
    let mut ids: Vec<String> = requests.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    ids.sort();
    ids
}

/// An endpoint that gives up at once.
async fn hasty(stage: &Stage, name: &str) -> EndpointId {
    stage
        .endpoint_of_api(name, |settings| {
            settings.retry = RetrySchedule::Own(Vec::new());
            settings.events = vec!["test".parse().unwrap(), "message.*".parse().unwrap()];
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_events_since_a_time_come_again_under_their_ids_and_say_that_they_do() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.publish("test", "evt_1").await;
    stage.receiver.wait_for(1, SOON).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = OffsetDateTime::now_utc();
    for number in 2..=9 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    let first = stage.receiver.wait_for(9, SOON).await;
    stage.settled(SOON).await;
    assert!(!first.iter().any(is_replay));

    let replay = stage.replay(&EndpointId::default(), since(between)).await;
    assert_eq!((replay.state, replay.total, replay.waiting), (ReplayState::Running, 8, 8));
    let done = stage.done(&replay, SOON).await;
    assert_eq!((done.total, done.waiting, done.ended_at.is_some()), (8, 0, true));
    let again = &stage.receiver.requests()[9..];
    assert!(again.iter().all(is_replay), "{again:?}");
    assert_eq!(ids(again), (2..=9).map(|number| format!("evt_{number}")).collect::<Vec<_>>());
    assert_eq!(again[0].body, first[1].body);
    let attempts = stage.recorded(17).await;
    assert_eq!(attempts.iter().filter(|attempt| attempt.replay.as_ref() == Some(&replay.id)).count(), 8);

    // The replay has ended: nothing of it is left, and nothing can end it again.
    assert_eq!(stage.cancel(&replay).await, done);
    assert_eq!(stage.retries().await, 0);
    let events = stage.jetstream.get_stream(stream::EVENTS).await.unwrap();
    assert_eq!(events.cached_info().state.consumer_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_delivered_again_and_is_gone_then() {
    let stage = Stage::set().await;
    let endpoint = hasty(&stage, "ep_1").await;
    let _dispatcher = stage.dispatcher_with(API_ONLY).await;
    stage.receiver.answers([500_u16, 500]);
    stage.publish("test", "evt_1").await;
    stage.publish("test", "evt_2").await;
    stage.buried(2).await;
    let letter = stage.dead_letters().await.into_iter().position(|letter| letter.event_id.as_str() == "evt_2").unwrap();

    let replay = stage.replay(&endpoint, ReplaySelection::DeadLetter { sequence: letter as u64 + 1 }).await;
    assert_eq!(replay.total, 1);
    stage.done(&replay, SOON).await;
    stage.buried(1).await;
    let requests = stage.receiver.requests();
    assert_eq!((requests.len(), requests[2].header("webhook-id")), (3, "evt_2"));
    assert!(is_replay(&requests[2]));
    assert_eq!(stage.dead_letters().await[0].event_id.as_str(), "evt_1");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_dead_letters_those_that_fail_again_rest_with_their_new_reason() {
    let stage = Stage::set().await;
    let endpoint = hasty(&stage, "ep_1").await;
    let other = hasty(&stage, "ep_2").await;
    let _dispatcher = stage.dispatcher_with(API_ONLY).await;
    stage.receiver.always(500_u16);
    for number in 1..=4 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.buried(8).await;
    stage
        .receiver
        .answer_with(|request| Answer::status(if request.header("webhook-id") == "evt_3" { 501 } else { 200 }));

    let replay = stage.replay(&endpoint, ReplaySelection::DeadLetters).await;
    assert_eq!(replay.total, 4);
    stage.done(&replay, SOON).await;
    stage.buried(5).await;
    let letters = stage.dead_letters().await;
    let own: Vec<_> = letters.iter().filter(|letter| letter.endpoint == endpoint).collect();
    assert_eq!(
        (own.len(), own[0].event_id.as_str(), own[0].reason.as_str()),
        (1, "evt_3", "the receiver answered 501")
    );
    assert_eq!(letters.iter().filter(|letter| letter.endpoint == other).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_outlives_its_event() {
    let stage = Stage::set().await;
    let endpoint = hasty(&stage, "ep_1").await;
    let _dispatcher = stage.dispatcher_with(API_ONLY).await;
    stage.receiver.answers([500_u16]);
    let body = stage.publish("message.received", "evt_1").await;
    stage.buried(1).await;
    stage.jetstream.get_stream(stream::EVENTS).await.unwrap().purge().await.unwrap();

    let replay = stage.replay(&endpoint, ReplaySelection::DeadLetters).await;
    stage.done(&replay, SOON).await;
    stage.buried(0).await;
    let requests = stage.receiver.requests();
    assert_eq!((requests.len(), requests[1].header("webhook-id")), (2, "evt_1"));
    assert_eq!(requests[1].body, body.to_string().as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_delivered_before_it_was_cancelled_is_not() {
    let stage = Stage::set().await;
    // Two retries at a time, 200 ms each.
    let _dispatcher = stage.dispatcher_with([("WEBHOOK_CONCURRENCY", "8")]).await;
    for number in 0..300 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(300, SOON).await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(200)));
    let replay = stage.replay(&EndpointId::default(), before_all()).await;
    stage.receiver.wait_for(310, SOON).await;
    let halfway = stage.progress(&replay).await;
    assert!(halfway.waiting > 250 && halfway.waiting < 300, "{halfway:?}");

    let cancelled = stage.cancel(&replay).await;
    assert_eq!((cancelled.state, cancelled.ended_at.is_some()), (ReplayState::Cancelled, true));
    until("nothing to wait in RETRIES", SOON, || async { stage.retries().await == 0 }).await;
    let delivered = stage.receiver.count();
    // A second: time for five more of each, if there were any.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(stage.receiver.count() <= delivered + 2, "{} after {delivered}", stage.receiver.count());
    assert_eq!(stage.progress(&replay).await, cancelled);
    let events = stage.jetstream.get_stream(stream::EVENTS).await.unwrap();
    assert_eq!(events.cached_info().state.consumer_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_on_after_its_dispatcher_was_killed_and_loses_nothing() {
    const EVENTS: usize = 600;
    let stage = Stage::set().await;
    let mut first = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(EVENTS, SOON).await;
    stage.settled(SOON).await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(50)));
    let replay = stage.replay(&EndpointId::default(), before_all()).await;
    stage.receiver.wait_for(EVENTS + 50, SOON).await;
    first.kill_9().await;
    first.start_again();
    stage.receiver.wait_for(EVENTS + 200, SOON).await;
    first.kill_9().await;
    let _second = stage.dispatcher_with(SHORT_ACK_WAIT).await;

    let done = stage.done(&replay, AFTER_ALL_RETRIES).await;
    assert_eq!(done.total, EVENTS as u64);
    let requests = stage.receiver.requests();
    let again: HashSet<&str> =
        requests.iter().filter(|request| is_replay(request)).map(|request| request.header("webhook-id")).collect();
    assert_eq!(again.len(), EVENTS);
    // In delivery at a crash, or delivered and not yet acknowledged: a few each time.
    let repeats = requests.len() - 2 * EVENTS;
    eprintln!("{repeats} repeats after two crashes");
    assert!(repeats < 100, "{repeats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_fed_by_all_dispatchers_and_nothing_comes_twice() {
    const EVENTS: usize = 1_500;
    let stage = Stage::set().await;
    let _first = stage.dispatcher().await;
    let _second = stage.dispatcher().await;
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(EVENTS, SOON).await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(100)));
    let replay = stage.replay(&EndpointId::default(), before_all()).await;
    // Stored after the replay began: they are delivered once, and are not part of it.
    for number in 0..100 {
        stage.publish("test", &format!("live_{number}")).await;
    }
    assert_eq!(stage.done(&replay, AFTER_ALL_RETRIES).await.total, EVENTS as u64);
    let requests = stage.receiver.requests();
    assert_eq!(requests.len(), 2 * EVENTS + 100);
    assert_eq!(requests.iter().filter(|request| is_replay(request)).count(), EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_disturbs_no_live_event() {
    const EVENTS: usize = 400;
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with([("WEBHOOK_CONCURRENCY", "4")]).await;
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(EVENTS, SOON).await;
    stage.receiver.answer_with(|request| {
        let pause = if is_replay(request) { Duration::from_millis(50) } else { Duration::ZERO };
        Answer::status(200).slow(pause)
    });
    let replay = stage.replay(&EndpointId::default(), before_all()).await;
    stage.receiver.wait_for(EVENTS + 5, SOON).await;
    for number in 0..10 {
        let published = std::time::Instant::now();
        let id = format!("live_{number}");
        stage.publish("test", &id).await;
        let arrived = stage.receiver.wait_until("the live event", SOON, |requests| {
            requests.iter().any(|request| request.header("webhook-id") == id)
        });
        let all = arrived.await;
        let live = all.iter().find(|request| request.header("webhook-id") == id).unwrap();
        assert!(!is_replay(live));
        assert!(live.at - published < Duration::from_secs(3), "{:?}", live.at - published);
    }
    // The replay went on besides them and was not over before them.
    assert!(stage.progress(&replay).await.waiting > 0);
    stage.cancel(&replay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_retries_of_its_endpoint_do_not_wait_for_a_replay() {
    const EVENTS: usize = 800;
    let stage = Stage::set().await;
    // Two retries at a time, 20 ms each: the replay takes 8 s.
    let _dispatcher = stage.dispatcher_with([("WEBHOOK_CONCURRENCY", "8")]).await;
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(EVENTS, SOON).await;
    stage.receiver.answer_with(|request| match (request.header("webhook-id"), is_replay(request)) {
        (_, true) => Answer::status(200).slow(Duration::from_millis(20)),
        ("live", false) => Answer::status(503),
        (_, false) => Answer::status(200),
    });
    let replay = stage.replay(&EndpointId::default(), before_all()).await;
    stage.receiver.wait_for(EVENTS + 50, SOON).await;
    stage.publish("test", "live").await;
    let is_live = |request: &&Request| request.header("webhook-id") == "live";
    let all = stage.receiver.wait_until("the retry", SOON, |requests| requests.iter().filter(is_live).count() == 2);
    let live: Vec<_> = all.await.into_iter().filter(|request| is_live(&request)).collect();
    let late = live[1].at - live[0].at - Duration::from_secs(2);
    assert!(late < Duration::from_secs(5), "{late:?} late");
    assert!(stage.progress(&replay).await.waiting > 100, "the replay is over before it could disturb anything");
    stage.cancel(&replay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_on_after_nats_was_killed() {
    const EVENTS: usize = 500;
    let mut stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with(SHORT_ACK_WAIT).await;
    for number in 0..EVENTS {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(EVENTS, SOON).await;
    stage.settled(SOON).await;
    stage.receiver.always(Answer::status(200).slow(Duration::from_millis(50)));
    let replay = stage.replay(&EndpointId::default(), before_all()).await;
    stage.receiver.wait_for(EVENTS + 100, SOON).await;
    stage.nats.kill().await;
    stage.nats.start_again().await;
    stage.jetstream = stage.nats.jetstream().await;
    until("a dispatcher to answer again", SOON, || async {
        let id = ReplayReference { id: replay.id.clone() };
        stage.ask::<Replay>(WebhookCommand::ReplayProgress, &id).await
    })
    .await;
    stage.done(&replay, AFTER_ALL_RETRIES).await;
    let requests = stage.receiver.requests();
    let again: HashSet<&str> =
        requests.iter().filter(|request| is_replay(request)).map(|request| request.header("webhook-id")).collect();
    assert_eq!(again.len(), EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_cannot_be_is_refused_with_the_reason() {
    let stage = Stage::set().await;
    stage.endpoint_of_api("ep_off", |settings| settings.enabled = false).await;
    let endpoint = hasty(&stage, "ep_1").await;
    let _dispatcher = stage.dispatcher_with(API_ONLY).await;
    let hour = Duration::from_secs(3_600);
    for (endpoint, of, code, said) in [
        ("ep_none", ReplaySelection::DeadLetters, CommandErrorCode::InvalidRequest, "no endpoint ep_none"),
        ("default", ReplaySelection::DeadLetters, CommandErrorCode::InvalidRequest, "no endpoint default"),
        ("ep_off", ReplaySelection::DeadLetters, CommandErrorCode::Conflict, "enable it first"),
        (
            "ep_1",
            ReplaySelection::Since { since: "yesterday".into() },
            CommandErrorCode::InvalidRequest,
            "2026-11-24T13:27:25Z",
        ),
        ("ep_1", since(OffsetDateTime::now_utc() + hour), CommandErrorCode::InvalidRequest, "not over yet"),
        ("ep_1", ReplaySelection::DeadLetter { sequence: 7 }, CommandErrorCode::InvalidRequest, "no dead letter 7"),
        ("ep_1", ReplaySelection::DeadLetter { sequence: 0 }, CommandErrorCode::InvalidRequest, "no dead letter 0"),
    ] {
        let request = ReplayRequest { endpoint: endpoint.parse().unwrap(), of };
        let refusal = stage.ask::<Replay>(WebhookCommand::Replay, &request).await.unwrap_err();
        assert_eq!(refusal.code, code, "{refusal:?}");
        assert!(refusal.message.contains(said), "{refusal:?}");
    }
    for command in [WebhookCommand::ReplayProgress, WebhookCommand::CancelReplay] {
        for id in ["rep_00000000000000000000000000000000", "rep_*", ""] {
            let refusal = stage.ask::<Replay>(command, &ReplayReference { id: id.into() }).await.unwrap_err();
            assert_eq!(refusal.code, CommandErrorCode::InvalidRequest, "{refusal:?}");
        }
    }
    let unreadable: Result<Replay, CommandError> = stage.ask(WebhookCommand::Replay, &"?").await;
    assert_eq!(unreadable.unwrap_err().code, CommandErrorCode::InvalidRequest);
    // An empty replay is accepted.
    let replay = stage.replay(&endpoint, ReplaySelection::DeadLetters).await;
    assert_eq!((stage.done(&replay, SOON).await.total, stage.receiver.count()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_to_an_endpoint_that_is_deleted_ends() {
    let stage = Stage::set().await;
    let endpoint = stage.endpoint_of_api("ep_1", |_| {}).await;
    let _dispatcher = stage.dispatcher_with(API_ONLY).await;
    for number in 0..100 {
        stage.publish("test", &format!("evt_{number}")).await;
    }
    stage.receiver.wait_for(100, SOON).await;
    stage.receiver.always(Answer::Hang);
    let replay = stage.replay(&endpoint, before_all()).await;
    stage.receiver.wait_for(101, SOON).await;
    stage.jetstream.get_key_value(BUCKET).await.unwrap().delete("ep_1").await.unwrap();
    until("the replay to end", SOON, || async {
        let stands = stage.progress(&replay).await;
        if stands.state == ReplayState::Cancelled { Ok(()) } else { Err(stands) }
    })
    .await;
    let retries = stage.jetstream.get_stream(stream::RETRIES).await.unwrap();
    until("its retries to be gone", SOON, || async {
        let mut left = retries.info_with_subjects(subject::retries_of(&endpoint)).await.unwrap();
        futures::StreamExt::next(&mut left).await.is_none()
    })
    .await;
}

/// No endpoints but those of the API, which may lead to this machine.
pub const API_ONLY: [(&str, &str); 2] = [("WEBHOOK_URL", ""), ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8")];

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_come_again_in_the_order_of_their_events() {
    const EVENTS: u64 = 9;
    let stage = Stage::set().await;
    let ordered_receiver = kurir_test_harness::Receiver::start().await;
    let _dispatchers = (stage.dispatcher().await, stage.dispatcher().await);
    let plain = hasty(&stage, "ep_plain").await;
    let ordered_url = ordered_receiver.url();
    let ordered = stage
        .endpoint_of_api("ep_ordered", |settings| {
            settings.url = ordered_url;
            settings.retry = RetrySchedule::Own(Vec::new());
            settings.ordering = kurir_contract::endpoint::EventOrdering::Chat;
            settings.events = vec!["message.received".parse().unwrap()];
        })
        .await;
    // They are given up in another order than they were stored in.
    let refuse = |request: &Request| {
        let number = request.json()["data"]["n"].as_u64().unwrap_or_default();
        Answer::status(500).slow(Duration::from_millis((EVENTS - number) * 150))
    };
    stage.receiver.answer_with(refuse);
    ordered_receiver.answer_with(refuse);
    for number in 0..EVENTS {
        let data = serde_json::json!({"from": format!("chat{}", number % 3), "n": number});
        stage.store("default", "message.received", &format!("evt_{number}"), data).await;
    }
    until("all of them to be dead letters", AFTER_ALL_RETRIES, || async {
        let of = |id: &EndpointId, letters: &[kurir_contract::delivery::DeadLetter]| {
            letters.iter().filter(|letter| letter.endpoint == *id).count() as u64
        };
        let letters = stage.dead_letters().await;
        let counts = (of(&plain, &letters), of(&ordered, &letters));
        if counts == (EVENTS, EVENTS) { Ok(()) } else { Err(counts) }
    })
    .await;
    let busy = Duration::from_millis(200);
    stage.receiver.always(Answer::status(200));
    ordered_receiver.always(Answer::status(200).slow(busy));
    for id in [&plain, &ordered] {
        let replay = stage.replay(id, ReplaySelection::DeadLetters).await;
        stage.done(&replay, AFTER_ALL_RETRIES).await;
    }
    let numbers = |receiver: &kurir_test_harness::Receiver| -> Vec<u64> {
        let replayed = receiver.requests().into_iter().filter(is_replay);
        replayed.map(|request| request.json()["data"]["n"].as_u64().unwrap_or_default()).collect()
    };
    let of_chats = numbers(&ordered_receiver);
    assert_eq!(of_chats.len() as u64, EVENTS);
    for chat in 0..3 {
        let of_chat: Vec<u64> = of_chats.iter().copied().filter(|number| number % 3 == chat).collect();
        assert!(of_chat.is_sorted(), "{of_chats:?}");
    }
    let mut all = numbers(&stage.receiver);
    // Requests that begin one after the other may arrive a little apart.
    let displaced = all.iter().enumerate().filter(|(place, number)| place.abs_diff(**number as usize) > 2).count();
    assert_eq!(displaced, 0, "{all:?}");
    all.sort_unstable();
    assert_eq!(all, (0..EVENTS).collect::<Vec<_>>());
}
