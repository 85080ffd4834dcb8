//! `kurir doctor` on installations that are broken in many ways: each is named in plain words, with what to do.

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use kurir_contract::{
    service::{PingReply, ServiceName},
    stream, subject,
};
use kurir_test_harness::{
    Answer, Port, Receiver, Stack,
    binaries::binary,
    faketime,
    stack::{KEY, SOON},
    until,
};
use serde_json::json;

const CONTACT: &str = "6281234567890";

struct Examination {
    /// By the exit code.
    is_healthy: bool,
    says: String,
}

async fn examine_with(url: &str, key: &str, arguments: &[&str]) -> Examination {
    let mut kurir = tokio::process::Command::new(binary("kurir"));
    kurir.arg("doctor").args(arguments).env_clear().env("API_KEY", key).env("KURIR_URL", url);
    let output = kurir.output().await.unwrap();
    let says = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Examination { is_healthy: output.status.success(), says: says.into_owned() }
}

async fn examine(stack: &Stack) -> Examination {
    examine_with(&stack.api.url(""), KEY, &[]).await
}

/// Waits until the doctor says this, and fails by its exit code if it is a problem.
async fn diagnosed(stack: &Stack, severity: &str, text: &str) -> String {
    until(format!("{severity}: {text}"), SOON, || async {
        let Examination { is_healthy, says } = examine(stack).await;
        let is_said = says.lines().any(|line| line.starts_with(severity) && line.contains(text));
        if is_said && (severity != "PROBLEM" || !is_healthy) { Ok(says) } else { Err(says) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_works_has_no_problem() {
    let stack = Stack::start().await;
    stack.settled().await;
    let Examination { is_healthy, says } = examine(&stack).await;
    assert!(is_healthy, "{says}");
    for expected in
        ["ok       NATS 2.", "gateway: 1 of 1 ready", "1 sessions are connected", "1 endpoints take their events"]
    {
        assert!(says.contains(expected), "{expected}: {says}");
    }
    assert!(says.ends_with("0 problems, 1 warnings\n"), "the key of the tests is short: {says}");
    let Examination { says, .. } = examine_with(&stack.api.url(""), KEY, &["--json"]).await;
    let diagnosis: serde_json::Value = serde_json::from_str(&says).unwrap();
    assert_eq!((&diagnosis["problems"], &diagnosis["warnings"]), (&json!(0), &json!(1)));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_and_a_wrong_key_are_named() {
    let stack = Stack::start().await;
    let (nobody, stranger) = (Port::reserve(), Receiver::start().await);
    stranger.always(Answer::status(404));
    for (url, key, expected) in [
        (format!("http://{}", nobody.addr()), KEY, "does it run?"),
        (stranger.url(), KEY, "is no API of Kurir"),
        (stack.api.url(""), "another key", "does not accept this key"),
    ] {
        let Examination { is_healthy, says } = examine_with(&url, key, &[]).await;
        assert!(!is_healthy && says.contains(expected), "{url}: {says}");
    }
    let (status, made) = stack.api.post("/api/keys", json!({"name": "sender", "scopes": ["send"]})).await;
    assert_eq!(status, 201, "{made}");
    let key = made["data"]["key"].as_str().unwrap();
    let says = until("the key to be known", SOON, || async {
        let Examination { is_healthy, says } = examine_with(&stack.api.url(""), key, &[]).await;
        if !is_healthy && says.contains("This key may not look") { Ok(says) } else { Err(says) }
    })
    .await;
    assert!(says.contains("scope read"), "{says}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_away_are_named_with_what_they_leave_undone() {
    let mut stack = Stack::start().await;
    stack.dispatchers[0].kill_9().await;
    let says = diagnosed(&stack, "PROBLEM", "No webhook-dispatcher answers").await;
    assert!(says.contains("docker compose up -d webhook-dispatcher"), "{says}");
    stack.gateway.kill_9().await;
    diagnosed(&stack, "PROBLEM", "No gateway answers").await;
    diagnosed(&stack, "PROBLEM", "No gateway has the session default").await;
    stack.nats.kill().await;
    let says = diagnosed(&stack, "PROBLEM", "no connection to NATS").await;
    assert!(says.contains("NATS_URL"), "{says}");
    stack.api.process.kill_9().await;
    let Examination { is_healthy, says } = examine(&stack).await;
    assert!(!is_healthy && says.contains("failed to reach the API"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_full_missing_or_in_memory_are_named() {
    let stack = Stack::start().await;
    stack.settled().await;
    let jetstream = stack.nats.jetstream().await;
    let mut events = jetstream.get_stream(stream::EVENTS).await.unwrap();
    let stored = i64::try_from(events.info().await.unwrap().state.messages).unwrap();
    let config = events.cached_info().config.clone();
    let bounded = |most| Config { max_messages: most, discard: DiscardPolicy::New, ..config.clone() };
    jetstream.update_stream(bounded(stored)).await.unwrap();
    diagnosed(&stack, "PROBLEM", "The stream EVENTS is full").await;
    stack.simulator.contact_writes(CONTACT, "no room").await;
    diagnosed(&stack, "PROBLEM", "The session default left WhatsApp because NATS has no room").await;
    jetstream.update_stream(bounded(-1)).await.unwrap();
    stack.connected(SOON).await;

    let audit = jetstream.get_stream(stream::AUDIT).await.unwrap().cached_info().config.clone();
    jetstream.delete_stream(stream::AUDIT).await.unwrap();
    diagnosed(&stack, "PROBLEM", "The stream AUDIT is missing").await;
    let storage = StorageType::Memory;
    jetstream.create_stream(Config { storage, ..audit }).await.unwrap();
    diagnosed(&stack, "PROBLEM", "The stream AUDIT is in memory").await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_not_connected_are_named_with_the_way_back() {
    let unpaired = Stack::plan().unpaired().start().await;
    let says = diagnosed(&unpaired, "PROBLEM", "The session default is not paired").await;
    assert!(says.contains("kurir qr"), "{says}");
    let stack = Stack::start().await;
    stack.simulator.post("/sessions/logout", json!({})).await;
    let says = diagnosed(&stack, "PROBLEM", "The session default was logged out").await;
    assert!(says.contains("Pair it again"), "{says}");
    stack.finish().await;
    unpaired.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_take_nothing_and_dead_letters_are_named() {
    let local = ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
    let stack = Stack::plan().without_webhooks().api(local.0, local.1).dispatcher(local.0, local.1).start().await;
    diagnosed(&stack, "WARNING", "There is no endpoint").await;
    let receiver = Receiver::start().await;
    receiver.always(Answer::status(400));
    let settings = json!({
        "url": receiver.url(), "description": "n8n", "events": ["message.received"], "retry": [],
    });
    let (status, made) = stack.api.post("/api/endpoints", settings).await;
    assert_eq!(status, 201, "{made}");
    stack.simulator.contact_writes(CONTACT, "refused").await;
    diagnosed(&stack, "WARNING", "1 events were given up").await;
    diagnosed(&stack, "PROBLEM", "takes no events").await;
    let id = made["data"]["id"].as_str().unwrap();
    stack.api.post(&format!("/api/endpoints/{id}/disable"), json!({})).await;
    diagnosed(&stack, "WARNING", "is disabled by its user").await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_and_another_version_are_named() {
    let plan = match faketime::environment("+3600") {
        Some(wrong) => wrong.iter().fold(Stack::plan(), |plan, (name, value)| plan.gateway(name, value)),
        None => Stack::plan(),
    };
    let stack = plan.start().await;
    if faketime::environment("+3600").is_some() {
        let says = diagnosed(&stack, "WARNING", "s ahead of that of NATS").await;
        assert!(says.contains("timedatectl"), "{says}");
    }
    // As a dispatcher of an earlier release answers.
    let client = stack.nats.client().await;
    let mut pings = client.subscribe(subject::service_ping(ServiceName::WebhookDispatcher)).await.unwrap();
    let old = json!({
        "service": "webhook-dispatcher", "instance": "old", "version": "0.0.9", "ready": true, "uptimeSeconds": 5,
    });
    assert!(serde_json::from_value::<PingReply>(old.clone()).is_ok());
    let answers = tokio::spawn(async move {
        while let Some(ping) = futures::StreamExt::next(&mut pings).await {
            client.publish(ping.reply.unwrap(), old.to_string().into()).await.unwrap();
        }
    });
    let says = diagnosed(&stack, "WARNING", "Different versions run").await;
    assert!(says.contains("0.0.9 (webhook-dispatcher old)"), "{says}");
    answers.abort();
    stack.finish().await;
}
