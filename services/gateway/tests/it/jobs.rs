//! Jobs: each message is sent once and in order, whatever is killed meanwhile; jobs are cancelled, and start at their
//! time.

use crate::world::{SOON, World};
use kurir_contract::{
    command::{Command, CommandError, CommandErrorCode, SendText},
    job::{BUCKET, JobId, JobItem, JobRecord, JobReference, JobState, SendJob},
    session::SessionId,
    stream, subject,
};
use kurir_test_harness::until;
use serde_json::json;
use std::time::Duration;
use time::OffsetDateTime;

const CONTACTS: [&str; 5] = ["6281230000001", "6281230000002", "6281230000003", "6281230000004", "6281230000005"];
/// Faster than in production.
const PACE: [(&str, &str); 2] = [("SEND_GAP", "100ms"), ("SEND_JITTER", "0s")];

/// Numbered texts, to the contacts in turn.
fn job(texts: usize, send_at: Option<OffsetDateTime>) -> SendJob {
    let item = |n: usize| {
        let to = CONTACTS[n % CONTACTS.len()].parse().expect("a number");
        let text = SendText::new(to, n.to_string());
        JobItem { command: "send-text".to_owned(), arguments: serde_json::to_value(text).expect("JSON"), send_at: None }
    };
    SendJob {
        id: JobId::random(),
        name: Some("newsletter".to_owned()),
        created_at: kurir_contract::clock::now_iso(),
        send_at: send_at.map(kurir_contract::clock::iso),
        items: (0..texts).map(item).collect(),
    }
}

async fn submit(world: &World, job: &SendJob) -> Result<JobRecord, CommandError> {
    world.ask(Command::SubmitJob, job).await
}

async fn cancel(world: &World, id: &JobId) -> Result<JobRecord, CommandError> {
    world.ask(Command::CancelJob, JobReference { id: id.clone() }).await
}

/// The record as the API reads it; an error while NATS is away.
async fn record(world: &World, id: &JobId) -> Result<JobRecord, String> {
    let bucket = world.jetstream().await.get_key_value(BUCKET).await.map_err(|error| error.to_string())?;
    let record = bucket.get(id.record_key(&SessionId::default())).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&record.ok_or("no record")?).map_err(|error| error.to_string())
}

async fn is(world: &World, id: &JobId, state: JobState) -> JobRecord {
    until(format!("the job to be {}", state.as_str()), SOON * 3, || async {
        let record = record(world, id).await?;
        if record.state == state { Ok(record) } else { Err(format!("{record:?}")) }
    })
    .await
}

async fn has_sent(world: &World, id: &JobId, messages: usize) {
    until(format!("{messages} messages to be sent"), SOON * 2, || async {
        let record = record(world, id).await?;
        if record.sent >= messages { Ok(()) } else { Err(format!("{record:?}")) }
    })
    .await;
}

/// Checks that each contact received each of its texts of a job once, by id, in the order of the job.
async fn each_once_and_in_order(world: &World, job: &SendJob, sent: usize) {
    for (place, contact) in CONTACTS.into_iter().enumerate() {
        let received = world.simulator.received_by(contact).await;
        let got: Vec<_> = received.iter().map(|got| (got["id"].clone(), got["text"].clone())).collect();
        let id = |n: usize| job.id.item_key(n).message_id(&SessionId::default());
        let mine = (0..sent).filter(|n| n % CONTACTS.len() == place);
        let expected: Vec<_> = mine.map(|n| (json!(id(n)), json!(n.to_string()))).collect();
        assert_eq!(got, expected, "{contact}");
    }
}

#[tokio::test]
async fn a_job_goes_on_after_the_gateway_and_nats_are_killed() {
    let mut world = World::connected(&PACE).await;
    let job = job(50, None);
    let begun = submit(&world, &job).await.expect("taken");
    assert_eq!((begun.state, begun.total, begun.sent), (JobState::Running, 50, 0));
    has_sent(&world, &job.id, 10).await;
    world.gateway.kill_9().await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    has_sent(&world, &job.id, 25).await;
    world.nats.kill().await;
    world.nats.start_again().await;
    let done = is(&world, &job.id, JobState::Done).await;
    assert_eq!((done.sent, done.failed, done.failures), (50, 0, vec![]));
    each_once_and_in_order(&world, &job, 50).await;
    let ended = world.data("job.done", |data| data["jobId"] == job.id.as_str()).await;
    assert_eq!((&ended["sent"], &ended["name"]), (&json!(50), &json!("newsletter")));
    assert_eq!(world.events_of("job.done").await.len(), 1);
    let progress = world.events_of("job.progress").await;
    assert!((1..=9).contains(&progress.len()), "{progress:?}");
    // The same job again, as from a caller that got no answer: the stored job answers.
    assert_eq!(submit(&world, &job).await.expect("known").state, JobState::Done);
    let outbox = world.jetstream().await.get_stream("OUTBOX").await.expect("the stream");
    assert_eq!(outbox.cached_info().state.messages, 0);
    world.finish().await;
}

#[tokio::test]
async fn a_job_that_is_cancelled_stops_before_its_next_message() {
    let world = World::connected(&[("SEND_GAP", "1s"), ("SEND_JITTER", "0s")]).await;
    let job = job(30, None);
    submit(&world, &job).await.expect("taken");
    has_sent(&world, &job.id, 2).await;
    let at_cancel = cancel(&world, &job.id).await.expect("cancelled");
    let cancelled = is(&world, &job.id, JobState::Cancelled).await;
    assert!(cancelled.sent <= at_cancel.sent + 2, "{} were sent, {} at the cancel", cancelled.sent, at_cancel.sent);
    each_once_and_in_order(&world, &job, cancelled.sent).await;
    world.data("job.cancelled", |data| data["jobId"] == job.id.as_str()).await;
    // A job that has ended does not change.
    assert_eq!(cancel(&world, &job.id).await.expect("known").state, JobState::Cancelled);
    let nobody = cancel(&world, &JobId::random()).await.expect_err("no such job");
    assert_eq!(nobody.code, CommandErrorCode::InvalidRequest);
    world.finish().await;
}

#[tokio::test]
async fn a_job_waits_for_its_time_through_a_restart_of_everything() {
    let mut world = World::connected(&[]).await;
    let at = OffsetDateTime::now_utc() + Duration::from_secs(15);
    let (kept, given_up) = (job(2, Some(at)), job(1, Some(at)));
    assert_eq!(submit(&world, &kept).await.expect("taken").state, JobState::Scheduled);
    submit(&world, &given_up).await.expect("taken");
    assert_eq!(cancel(&world, &given_up.id).await.expect("cancelled").state, JobState::Cancelled);
    world.gateway.kill_9().await;
    world.nats.kill().await;
    world.nats.start_again().await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    let done = is(&world, &kept.id, JobState::Done).await;
    let sent_at = kurir_contract::clock::parse(&done.updated_at).expect("a time");
    assert!(sent_at >= at, "sent at {sent_at}, asked for {at}");
    each_once_and_in_order(&world, &kept, 2).await;
    assert_eq!(record(&world, &given_up.id).await.expect("a record").state, JobState::Cancelled);
    world.finish().await;
}

#[tokio::test]
async fn a_message_that_fails_is_recorded_and_the_job_goes_on() {
    let world = World::connected(&[]).await;
    world.simulator.patch(&format!("/contacts/{}", CONTACTS[1]), json!({"registered": false})).await;
    let job = job(3, None);
    submit(&world, &job).await.expect("taken");
    let done = is(&world, &job.id, JobState::Done).await;
    assert_eq!((done.sent, done.failed, done.failures[0].index), (2, 1, 1));
    assert!(done.failures[0].error.ends_with("is not on WhatsApp"), "{:?}", done.failures);
    world.finish().await;
}

#[tokio::test]
async fn a_job_of_a_session_that_is_not_paired_waits() {
    let world = World::unpaired(&[]).await;
    world.qr(None).await;
    let job = job(1, None);
    submit(&world, &job).await.expect("taken");
    let waits = is(&world, &job.id, JobState::Queued).await;
    assert_eq!((waits.reason.as_deref(), waits.sent, waits.failed), (Some("not_connected"), 0, 0));
    world.finish().await;
}

#[tokio::test]
async fn what_is_no_job_is_refused() {
    let world = World::connected(&[]).await;
    let mut wrong = job(2, None);
    wrong.items[1].arguments["text"] = json!("  ");
    let refused = submit(&world, &wrong).await.expect_err("an empty text");
    assert_eq!(refused.message, "Message at index 1: Message is required and must be a string");
    let refused = submit(&world, &job(0, None)).await.expect_err("nothing");
    assert_eq!(refused.message, "a job has 1 to 10000 messages");
    let late = OffsetDateTime::now_utc() + Duration::from_secs(31 * 24 * 60 * 60);
    let refused = submit(&world, &job(1, Some(late))).await.expect_err("too late");
    assert_eq!(refused.message, "sendAt must be at most 30 days ahead");
    let first = job(1, None);
    submit(&world, &first).await.expect("taken");
    let other = SendJob { id: first.id.clone(), ..job(2, None) };
    let refused = submit(&world, &other).await.expect_err("the id of another");
    assert_eq!(refused.code, CommandErrorCode::Conflict);
    is(&world, &first.id, JobState::Done).await;
    world.finish().await;
}

#[tokio::test]
async fn jobs_whose_stream_disappeared_end_as_failed_and_are_told_of() {
    let mut world = World::connected(&PACE).await;
    let later = || Some(OffsetDateTime::now_utc() + Duration::from_secs(3_600));
    let waiting = job(2, later());
    submit(&world, &waiting).await.expect("stored");
    is(&world, &waiting.id, JobState::Scheduled).await;
    world.jetstream().await.delete_stream(stream::OUTBOX).await.expect("it was there");
    let failed = is(&world, &waiting.id, JobState::Failed).await;
    assert_eq!(failed.reason.as_deref(), Some("lost"));
    let told = world.data("job.failed", |data| data["jobId"] == waiting.id.as_str()).await;
    assert_eq!(told["reason"], "lost");
    // The stream is there again, and what comes now is done.
    let next = job(1, None);
    submit(&world, &next).await.expect("stored");
    is(&world, &next.id, JobState::Done).await;
    // What disappears while no gateway runs is found at the start; what is there stays.
    let (gone, stays) = (job(1, later()), job(1, later()));
    submit(&world, &gone).await.expect("stored");
    submit(&world, &stays).await.expect("stored");
    assert!(world.gateway.terminate(SOON).await.success());
    let outbox = world.jetstream().await.get_stream(stream::OUTBOX).await.expect("it was made again");
    let subject = subject::waiting_job(&SessionId::default(), &gone.id);
    outbox.purge().filter(subject).await.expect("purged");
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    is(&world, &gone.id, JobState::Failed).await;
    is(&world, &stays.id, JobState::Scheduled).await;
    world.finish().await;
}
