//! A message that WhatsApp or the settings do not allow yet waits, is reported, and goes out later under the reported
//! id.

use crate::world::{BUDI, SOON, World};
use kurir_contract::{
    clock,
    command::{Command, CommandErrorCode, QueuedSend, WaitReason},
    job::{JobId, JobRecord, SendJob},
    session::RestrictionKind,
};
use kurir_test_harness::{Port, http, until};
use serde_json::{Value, json};
use std::time::Duration;
use time::OffsetDateTime;

const STRANGER: &str = "6281230000021";
const OTHER: &str = "6281230000022";
const THIRD: &str = "6281230000023";

async fn restrict(world: &World, kind: &str, seconds: u32) {
    let account = world.account().await;
    world.simulator.post(&format!("/accounts/{account}/restriction"), json!({"kind": kind, "seconds": seconds})).await;
}

async fn budi_writes(world: &World) {
    let id = world.simulator.contact_writes(BUDI, "halo").await;
    world.event("message.received", |data| data["messageId"] == id.as_str()).await;
}

async fn arrives(world: &World, to: &str, queued: &QueuedSend) -> Value {
    world.simulator.contact_receives(to, "what waited", SOON * 2, |got| got["id"] == queued.message_id.as_str()).await
}

#[tokio::test]
async fn under_a_time_lock_messages_to_strangers_wait_until_its_end() {
    let port = Port::reserve();
    let listen = port.addr().to_string();
    let world = World::connected(&[("HEALTH_LISTEN", &listen)]).await;
    let shows = async |series: &str| {
        let metrics =
            http::client().get(format!("http://{listen}/metrics")).send().await.expect("the gateway serves them");
        metrics.text().await.expect("text").lines().any(|line| line == series)
    };
    budi_writes(&world).await;
    restrict(&world, "time_lock", 20).await;
    let first = world.queued(STRANGER, "nanti").await;
    assert_eq!((first.reason, first.to.as_str()), (WaitReason::TimeLock, "6281230000021@s.whatsapp.net"));
    let restriction = world.status().await.restriction.expect("it is restricted");
    assert_eq!((restriction.kind, &restriction.until), (RestrictionKind::TimeLock, &first.until));
    let told = world.data("session.restricted", |data| data["active"] == true).await;
    assert_eq!((&told["kind"], &told["until"]), (&json!("time_lock"), &json!(first.until)));
    assert!(shows("kurir_session_restricted{session=\"default\"} 1").await);
    let told = world.data("message.queued", |data| data["messageId"] == first.message_id.as_str()).await;
    assert_eq!((&told["jobId"], &told["reason"]), (&json!(first.job_id), &json!("time_lock")));
    let second = world.queued(OTHER, "nanti juga").await;
    world.send(BUDI, "sekarang").await.expect("he is no stranger");
    for (to, queued) in [(STRANGER, &first), (OTHER, &second)] {
        let got = arrives(&world, to, queued).await;
        assert_eq!(got["copies"], 1);
    }
    assert!(OffsetDateTime::now_utc() >= clock::parse(&first.until).expect("a time"));
    world.data("session.restricted", |data| data["active"] == false).await;
    assert_eq!(world.status().await.restriction, None);
    assert!(shows("kurir_session_restricted{session=\"default\"} 0").await);
    assert!(shows("kurir_send_seconds_count{outcome=\"accepted\"} 3").await);
    world.event("message.sent", |data| data["messageId"] == second.message_id.as_str()).await;
    assert_eq!(world.events_of("error.occurred").await.len(), 0);
    world.finish().await;
}

#[tokio::test]
async fn a_restriction_from_before_is_known_after_a_start() {
    let mut world = World::connected(&[]).await;
    restrict(&world, "time_lock", 600).await;
    world.gateway.restart().await;
    world.is("connected").await;
    let restriction = until("the restriction to be shown", SOON, || async {
        let status = world.status().await;
        status.restriction.clone().ok_or(status)
    })
    .await;
    assert_eq!(restriction.kind, RestrictionKind::TimeLock);
    world.finish().await;
}

#[tokio::test]
async fn under_a_cap_on_new_chats_they_wait_and_a_job_waits_as_a_whole() {
    let world = World::connected(&[]).await;
    restrict(&world, "new_chat_cap", 15).await;
    let single = world.queued(STRANGER, "nanti").await;
    assert_eq!(single.reason, WaitReason::NewChatCap);
    let item = |to: &str| kurir_contract::job::JobItem {
        command: "send-text".to_owned(),
        arguments: json!({"to": format!("{to}@s.whatsapp.net"), "text": "promo"}),
        send_at: None,
    };
    let job = SendJob {
        id: JobId::random(),
        name: None,
        created_at: clock::now_iso(),
        send_at: None,
        items: vec![item(OTHER), item(THIRD)],
    };
    let _: JobRecord = world.ask(Command::SubmitJob, &job).await.expect("taken");
    world.data("message.queued", |data| data["jobId"] == job.id.as_str()).await;
    arrives(&world, STRANGER, &single).await;
    let done = world.data("job.done", |data| data["jobId"] == job.id.as_str()).await;
    assert_eq!((&done["sent"], &done["failed"]), (&json!(2), &json!(0)));
    world.finish().await;
}

#[tokio::test]
async fn more_new_chats_than_a_day_has_wait_for_the_next() {
    let mut world = World::connected(&[("NEW_CHATS_PER_DAY", "1")]).await;
    let begun = OffsetDateTime::now_utc();
    world.send(STRANGER, "1").await.expect("the first new chat");
    budi_writes(&world).await;
    world.send(BUDI, "2").await.expect("he wrote first");
    let waits = world.queued(OTHER, "3").await;
    assert_eq!(waits.reason, WaitReason::NewChatsPerDay);
    let wait = clock::parse(&waits.until).expect("a time") - begun;
    assert!(wait > Duration::from_secs(86_399) && wait < Duration::from_secs(86_400 + 60), "{wait}");
    world.gateway.kill_9().await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    world.is("connected").await;
    world.queued(THIRD, "4").await;
    world.send(STRANGER, "5").await.expect("a known chat");
    world.finish().await;
}

/// A recipient that takes no messages from strangers is no restriction of the account. Once it writes, an answer passes,
/// even one that is faster than the token which opens.
#[tokio::test]
async fn who_takes_no_messages_from_strangers_is_answered_once_it_has_written() {
    let world = World::connected(&[("WHATSAPP_SEND_PAUSES", "1s,1s")]).await;
    world.simulator.patch(&format!("/contacts/{STRANGER}"), json!({"restricted": true})).await;
    let refusal = world.send(STRANGER, "halo").await.expect_err("it does not know the account");
    assert_eq!((refusal.code, refusal.whatsapp_code), (CommandErrorCode::RefusedByWhatsapp, Some(463)));
    assert!(refusal.message.contains("It has to write first"), "{refusal:?}");
    world.send(OTHER, "halo").await.expect("nobody else is concerned");
    assert_eq!(world.status().await.restriction, None);
    let id = world.simulator.contact_writes(STRANGER, "halo juga").await;
    world.event("message.received", |data| data["messageId"] == id.as_str()).await;
    let answer = world.send(STRANGER, "an answer").await.expect("it has written");
    world.simulator.contact_receives(STRANGER, "an answer", SOON, |got| got["id"] == answer.message_id.as_str()).await;
    assert_eq!(world.events_of("session.restricted").await.len(), 0);
    world.finish().await;
}
