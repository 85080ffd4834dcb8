//! What a session was asked for goes on with the next gateway: jobs, jobs for later, keys that send once, the day's new chats.

use crate::{
    fleet::{CONTACTS, Fleet},
    world::SOON,
};
use kurir_contract::{
    clock,
    command::{Command, SendText, SentMessage},
    job::{BUCKET, JobId, JobItem, JobRecord, JobState, SendJob},
    session::SessionId,
};
use kurir_test_harness::until;
use std::time::Duration;

/// Numbered texts to the contacts in turn.
fn job(name: &str, texts: usize, after: Option<Duration>) -> SendJob {
    let item = |number: usize| {
        let to = CONTACTS[number % CONTACTS.len()].parse().expect("a number");
        let text = SendText::new(to, format!("{name} {number}"));
        JobItem { command: "send-text".to_owned(), arguments: serde_json::to_value(text).expect("JSON"), send_at: None }
    };
    SendJob {
        id: JobId::random(),
        name: Some(name.to_owned()),
        created_at: clock::now_iso(),
        send_at: after.map(|after| clock::iso(clock::now() + after)),
        items: (0..texts).map(item).collect(),
    }
}

async fn record(fleet: &Fleet, job: &SendJob) -> JobRecord {
    let bucket = fleet.jetstream().get_key_value(BUCKET).await.expect("the bucket");
    let stored = bucket.get(job.id.record_key(&SessionId::default())).await.expect("a record").unwrap_or_default();
    serde_json::from_slice(&stored).expect("a record")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_was_asked_for_goes_on_with_the_next_gateway() {
    let fleet = Fleet::start().await;
    let own = [("SEND_GAP", "100ms"), ("SEND_JITTER", "0s"), ("NEW_CHATS_PER_DAY", "2")];
    let mut one = fleet.gateway("gateway one", &own).await;
    fleet.pair("default", "6281230009000").await;
    let _two = fleet.gateway("gateway two", &own).await;
    let [first_contact, second_contact] = CONTACTS;
    let once = || SendText {
        idempotency_key: Some("order-7".parse().expect("a key")),
        ..SendText::new(first_contact.parse().expect("a number"), "once")
    };
    let sent: SentMessage = fleet.ask("default", Command::SendText, once()).await.expect("sent");
    fleet.send("default", second_contact, "the second chat of the day").await.expect("sent");
    let (now, later) = (job("now", 40, None), job("later", 4, Some(Duration::from_secs(25))));
    for job in [&now, &later] {
        let _: JobRecord = fleet.ask("default", Command::SubmitJob, job).await.expect("taken");
    }
    until("a part of the job", SOON, || async {
        let sent = record(&fleet, &now).await.sent;
        if sent >= 5 { Ok(()) } else { Err(sent) }
    })
    .await;
    one.kill_9().await;
    fleet.is("default", "connected").await;
    for job in [&now, &later] {
        until("the job to end", SOON * 2, || async {
            let record = record(&fleet, job).await;
            if record.state == JobState::Done { Ok(()) } else { Err(record) }
        })
        .await;
    }
    // The key is remembered, and the message is not sent again.
    let again: SentMessage = fleet.ask("default", Command::SendText, once()).await.expect("the first answer");
    assert_eq!(again, sent);
    let third = fleet.send("default", "6281100000003", "a third chat").await.expect_err("it waits for tomorrow");
    assert!(third.contains("NewChatsPerDay"), "{third}");
    for (place, (contact, begins)) in
        [(first_contact, "once"), (second_contact, "the second chat of the day")].into_iter().enumerate()
    {
        let texts = |job: &str, count: usize| {
            let job = job.to_owned();
            (place..count).step_by(CONTACTS.len()).map(move |number| format!("{job} {number}"))
        };
        let expected: Vec<_> =
            [begins.to_owned()].into_iter().chain(texts("now", 40)).chain(texts("later", 4)).collect();
        let got = fleet.simulator.received_by(contact).await;
        let got: Vec<_> = got.iter().map(|message| message["text"].as_str().unwrap_or_default().to_owned()).collect();
        assert_eq!(got, expected, "{contact}");
    }
}
