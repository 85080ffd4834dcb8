//! An installation goes from the last release to this version and back, service by service, while messages come.
//!
//! `KURIR_PREVIOUS` names a folder with the programs of the last release, built with `--features kurir-gateway/simulator`; without it, the
//! test that needs them says so. What that release writes into NATS is kept in `tests/samples`, and is read here by this version
//! alone; `KURIR_WRITE=1` with `KURIR_PREVIOUS` writes it again.

use crate::expect::{bodies, text};
use async_nats::{
    HeaderMap,
    jetstream::{Context, message::PublishMessage, stream::Config},
};
use futures::StreamExt as _;
use kurir_test_harness::{
    Answer, Process, Stack,
    binaries::{binary, repository},
    stack::SOON,
    until,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const CONTACT: &str = "6281234567890";
const SAMPLES: &str = "tests/samples/0.1.0.json";

/// What NATS held when the last release had run.
#[derive(Serialize, Deserialize)]
struct Samples {
    /// ISO 8601.
    written_at: String,
    streams: Vec<StreamSample>,
}

/// A stream as the last release made it.
#[derive(Serialize, Deserialize)]
struct StreamSample {
    config: Config,
    messages: Vec<MessageSample>,
}

#[derive(Serialize, Deserialize)]
struct MessageSample {
    subject: String,
    headers: BTreeMap<String, String>,
    payload: String,
}

fn previous() -> Option<PathBuf> {
    let folder = std::env::var_os("KURIR_PREVIOUS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: KURIR_PREVIOUS names no folder with the programs of the last release");
    }
    folder
}

/// Answers of the receiver: `/dead` refuses for good, `/waits` until the test says otherwise.
fn refuse(stack: &Stack, waits: bool) {
    stack.receiver.answer_with(move |request| {
        let refused = request.path == "/dead" || waits && request.path == "/waits";
        Answer::status(if refused { 500 } else { 200 })
    });
}

/// Gives its id.
async fn endpoint(stack: &Stack, path: &str, retry: Value) -> String {
    let url = stack.receiver.url().replace("/webhook", path);
    let body = json!({"url": url, "events": ["message.received"], "retry": retry, "headers": {"X-Token": "private"}});
    let (status, made) = stack.api.post("/api/endpoints", body).await;
    assert_eq!(status, 201, "{made}");
    made["data"]["id"].as_str().unwrap().to_owned()
}

/// Everything that an installation may have: endpoints, a retry that waits, a dead letter, a send of the future. Gives the id of
/// the endpoint that refuses everything.
async fn fill(stack: &Stack) -> String {
    refuse(stack, true);
    let refusing = endpoint(stack, "/dead", json!([])).await;
    endpoint(stack, "/waits", json!("patient")).await;
    stack.simulator.contact_writes(CONTACT, "before").await;
    until("a dead letter and a retry", SOON, async || {
        let tried = stack.receiver.requests().iter().any(|request| request.path == "/waits");
        (tried && stack.dead_letters().await.len() == 1).then_some(())
    })
    .await;
    let at = clock_text(OffsetDateTime::now_utc() + Duration::from_secs(20 * 24 * 3600));
    let later = json!({"to": CONTACT, "message": "later", "options": {"sendAt": at}});
    let (status, kept) = stack.api.post("/api/whatsapp/send-message", later).await;
    assert_eq!(status, 202, "{kept}");
    refusing
}

async fn dump(jetstream: &Context) -> Samples {
    let (mut streams, mut samples) = (jetstream.streams(), Vec::new());
    while let Some(info) = streams.next().await {
        let (config, state) = {
            let info = info.unwrap();
            (info.config, info.state)
        };
        let stream = jetstream.get_stream(&config.name).await.unwrap();
        let mut messages = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
            let headers =
                message.headers.iter().map(|(name, values)| (name.to_string(), values[0].to_string())).collect();
            let payload = String::from_utf8_lossy(&message.payload).into_owned();
            messages.push(MessageSample { subject: message.subject.to_string(), headers, payload });
        }
        // Leases and holders are gone with their processes.
        if !["KV_session_holders", "KV_gateways", "KV_webhook_endpoint_holders"].contains(&config.name.as_str()) {
            samples.push(StreamSample { config, messages });
        }
    }
    samples.sort_by(|one, other| one.config.name.cmp(&other.config.name));
    Samples { written_at: clock_text(OffsetDateTime::now_utc()), streams: samples }
}

/// Moves the times in a text, ISO 8601 with milliseconds, by as much as has passed since the samples were written: an endpoint that fails
/// for days would be disabled.
fn move_times(text: &str, by: Duration) -> String {
    const FORM: &str = "2026-11-30T12:00:00.000Z";
    let mut moved = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("2026-") {
        moved.push_str(&rest[..at]);
        rest = &rest[at..];
        let time = rest.get(..FORM.len()).filter(|time| time.ends_with('Z'));
        let time = time.and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
        let length = if time.is_some() { FORM.len() } else { 1 };
        match time {
            Some(time) => moved.push_str(&clock_text(time + by)),
            None => moved.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    moved + rest
}

fn clock_text(time: OffsetDateTime) -> String {
    let (date, time) = (time.date(), time.time());
    format!("{date}T{:02}:{:02}:{:02}.{:03}Z", time.hour(), time.minute(), time.second(), time.millisecond())
}

async fn load(jetstream: &Context, Samples { written_at, streams }: Samples, receiver: &str) {
    let passed = OffsetDateTime::now_utc() - OffsetDateTime::parse(&written_at, &Rfc3339).unwrap();
    let passed = Duration::try_from(passed).unwrap_or_default();
    for StreamSample { config, messages } in streams {
        jetstream.create_stream(config).await.unwrap();
        for MessageSample { subject, headers, payload } in messages {
            let mut given = HeaderMap::new();
            for (name, value) in &headers {
                given.insert(name.as_str(), value.as_str());
            }
            let payload = move_times(&payload, passed).replace("http://receiver.invalid", receiver);
            let message = PublishMessage::build().headers(given).payload(payload.into());
            jetstream.send_publish(subject, message).await.unwrap().await.unwrap();
        }
    }
}

/// Puts another version in the place of a service.
async fn exchange(process: &mut Process, program: PathBuf) {
    process.set_binary(program);
    process.restart().await;
    process.wait_ready(SOON).await;
}

async fn arrives(stack: &Stack, words: &str) {
    stack.simulator.contact_writes(CONTACT, words).await;
    for path in ["/webhook", "/waits"] {
        until(&format!("{words} at {path}"), SOON, async || {
            let requests: Vec<_> =
                stack.receiver.requests().into_iter().filter(|request| request.path == path).collect();
            bodies(&requests, "message.received").iter().any(|body| text(body) == words).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_exchanged_one_service_after_the_other_and_back() {
    let Some(previous) = previous() else { return };
    let local = ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
    let plan = Stack::plan().of_version(previous.clone()).dispatchers(2).services("SECRETS_KEY", "");
    let mut stack = plan.api(local.0, local.1).dispatcher(local.0, local.1).start().await;
    let refusing = fill(&stack).await;
    if std::env::var_os("KURIR_WRITE").is_some() {
        let samples = dump(&stack.nats.jetstream().await).await;
        let base = stack.receiver.url().replace("/webhook", "");
        let written = serde_json::to_string_pretty(&samples).unwrap().replace(&base, "http://receiver.invalid");
        std::fs::write(repository().join(SAMPLES), written + "\n").unwrap();
    }
    refuse(&stack, false);
    let old = |name: &str| previous.join(name);
    let new = |name: &str| binary(name);
    let (gateway, dispatcher, api) = ("kurir-gateway-for-simulator", "kurir-webhook-dispatcher", "kurir-api");
    arrives(&stack, "old").await;
    exchange(&mut stack.dispatchers[0], new(dispatcher)).await;
    arrives(&stack, "one dispatcher is new").await;
    exchange(&mut stack.dispatchers[1], new(dispatcher)).await;
    exchange(&mut stack.gateway, new(gateway)).await;
    stack.connected(SOON).await;
    arrives(&stack, "the API is old").await;
    exchange(&mut stack.api.process, new(api)).await;
    arrives(&stack, "all are new").await;
    let (status, listed) = stack.api.get("/api/endpoints").await;
    assert!(status == 200 && listed.to_string().contains("/waits"), "{listed}");
    let (_, jobs) = stack.api.get("/api/whatsapp/jobs?state=scheduled").await;
    assert!(jobs["data"].as_array().is_some_and(|jobs| jobs.len() == 1), "{jobs}");

    exchange(&mut stack.api.process, old(api)).await;
    arrives(&stack, "the API is old again").await;
    exchange(&mut stack.gateway, old(gateway)).await;
    stack.connected(SOON).await;
    exchange(&mut stack.dispatchers[0], old(dispatcher)).await;
    arrives(&stack, "half of the dispatchers are old").await;
    exchange(&mut stack.dispatchers[1], old(dispatcher)).await;
    arrives(&stack, "all are old again").await;
    let (status, listed) = stack.api.get("/api/endpoints").await;
    assert!(status == 200 && listed.to_string().contains("/waits"), "{listed}");
    // Nothing but what the endpoint that refuses everything refused.
    let dead = stack.dead_letters().await;
    assert!(!dead.is_empty() && dead.iter().all(|(subject, ..)| subject.contains(&refusing)), "{dead:?}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_last_release_wrote_is_understood() {
    let samples: Samples = serde_json::from_str(&std::fs::read_to_string(repository().join(SAMPLES)).unwrap()).unwrap();
    let names: Vec<&str> = samples.streams.iter().map(|sample| sample.config.name.as_str()).collect();
    for stream in ["EVENTS", "RETRIES", "DEAD_LETTERS", "DELIVERIES", "OUTBOX", "KV_webhook_endpoints"] {
        assert!(names.contains(&stream), "the samples lack {stream}: {names:?}");
    }
    let local = ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
    let mut stack = Stack::plan().unpaired().api(local.0, local.1).dispatcher(local.0, local.1).start().await;
    // The services have made what a new installation has.
    let jetstream = stack.nats.jetstream().await;
    stop(&mut stack).await;
    for stream in jetstream.stream_names().collect::<Vec<_>>().await {
        jetstream.delete_stream(stream.unwrap()).await.unwrap();
    }
    stack.receiver.forget();
    refuse(&stack, false);
    load(&jetstream, samples, &stack.receiver.url().replace("/webhook", "")).await;
    for process in [&mut stack.gateway, &mut stack.dispatchers[0], &mut stack.api.process] {
        process.start_again();
        process.wait_ready(SOON).await;
    }

    until("the event that waited for its retry", SOON, async || {
        let requests: Vec<_> =
            stack.receiver.requests().into_iter().filter(|request| request.path == "/waits").collect();
        bodies(&requests, "message.received").iter().any(|body| text(body) == "before").then_some(())
    })
    .await;
    let (status, listed) = stack.api.get("/api/endpoints").await;
    assert!(status == 200 && listed.to_string().contains("/waits"), "{listed}");
    until("the event in the search index", SOON, async || {
        let (_, found) = stack.api.get("/api/search?q=before").await;
        found["data"].as_array().is_some_and(|found| !found.is_empty()).then_some(())
    })
    .await;
    let (_, letters) = stack.api.get("/api/dead-letters").await;
    assert_eq!(letters["data"].as_array().map(Vec::len), Some(1), "{letters}");
    let (_, jobs) = stack.api.get("/api/whatsapp/jobs?state=scheduled").await;
    assert_eq!(jobs["data"].as_array().map(Vec::len), Some(1), "{jobs}");
    let id = letters["data"][0]["id"].to_string();
    let (status, replayed) =
        stack.api.post(&format!("/api/dead-letters/{}/replay", id.trim_matches('"')), json!({})).await;
    assert!((200..300).contains(&status), "{letters} {replayed}");
    stack.finish().await;
}

async fn stop(stack: &mut Stack) {
    let Stack { api, dispatchers, gateway, .. } = stack;
    for process in dispatchers.iter_mut().chain([gateway, &mut api.process]) {
        process.terminate(SOON * 2).await;
    }
}
