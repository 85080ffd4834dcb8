//! What holds secrets is sealed where NATS stores it (`SECRETS_KEY`): its files are read as a thief of the disk would read them.

use crate::expect::{bodies, text, webhook};
use kurir_test_harness::{
    Process, Receiver, Stack,
    stack::{SOON, StackPlan},
    until,
};
use serde_json::{Value, json};
use std::{fs, path::Path};

const OLD: &str = "fedcba9876543210fedcba9876543210";
const NEW: &str = "0123456789abcdef0123456789abcdef";
const CONTACT: &str = "6281234567890";
/// In a header, in the address, in the endpoint's proxy, in the session's proxy.
const SECRETS: [&str; 4] = ["header-s3cret", "address-s3cret", "proxy-s3cret", "session-s3cret"];

fn plan(key: &str) -> StackPlan {
    let plan = Stack::plan().without_webhooks().services("SECRETS_KEY", key);
    let (variable, local) = ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
    plan.api(variable, local).dispatcher(variable, local)
}

/// Which of the texts stand in any file of the folder.
fn find_in_files(folder: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(find_in_files(&path, texts));
            continue;
        }
        let content = fs::read(&path).unwrap_or_default();
        let holds = |text: &&&str| content.windows(text.len()).any(|window| window == text.as_bytes());
        found.extend(texts.iter().filter(holds).map(|text| format!("{text} in {}", path.display())));
    }
    found
}

/// Makes endpoints and a session that hold secrets; gives the first endpoint's signing secret, and the ids of both.
async fn make_secrets(stack: &Stack) -> (String, [String; 2]) {
    let endpoint = json!({
        "url": stack.receiver.url(), "events": ["message.received"], "retry": "patient",
        "headers": {"X-Token": SECRETS[0]},
    });
    let (status, made) = stack.api.post("/api/endpoints", endpoint).await;
    assert_eq!(status, 201, "{made}");
    let elsewhere = json!({
        "url": format!("http://me:{}@127.0.0.1:9/hook", SECRETS[1]), "events": ["call.received"],
        "proxy": format!("http://me:{}@127.0.0.1:9", SECRETS[2]),
    });
    let (status, other) = stack.api.post("/api/endpoints", elsewhere).await;
    assert_eq!(status, 201, "{other}");
    let session = json!({"id": "second", "proxy": format!("socks5://me:{}@127.0.0.1:9", SECRETS[3])});
    let (status, session) = stack.api.post("/api/sessions", session).await;
    assert_eq!(status, 201, "{session}");
    let ids = [&made, &other].map(|endpoint| endpoint["data"]["id"].as_str().unwrap().to_owned());
    (made["data"]["secret"].as_str().unwrap().to_owned(), ids)
}

/// Restarts every service with another `SECRETS_KEY`.
async fn restart_with(stack: &mut Stack, key: &str) {
    let Stack { api, dispatchers, gateway, .. } = stack;
    let services: Vec<&mut Process> = dispatchers.iter_mut().chain([gateway, &mut api.process]).collect();
    for process in services {
        process.set_env("SECRETS_KEY", key);
        process.restart().await;
        process.wait_ready(SOON).await;
    }
    stack.connected(SOON).await;
}

async fn arrives(stack: &Stack, words: &str) {
    stack.simulator.contact_writes(CONTACT, words).await;
    let request = webhook(&stack.receiver, "the message", |body| text(body) == words).await;
    assert_eq!(request.header("x-token"), SECRETS[0]);
}

fn texts_at(receiver: &Receiver) -> Vec<String> {
    let bodies: Vec<Value> = bodies(&receiver.requests(), "message.received");
    bodies.iter().map(|body| text(body).to_owned()).collect()
}

#[tokio::test]
async fn no_secret_stands_on_the_disk_of_nats() {
    let mut stack = plan(OLD).start().await;
    let (signing_secret, _) = make_secrets(&stack).await;
    arrives(&stack, "one").await;
    let mut secrets = SECRETS.to_vec();
    secrets.push(&signing_secret);
    // The deliveries' records and the audit are on the disk too.
    until("the record of the delivery", SOON, async || {
        let (_, deliveries) = stack.api.get("/api/deliveries").await;
        deliveries["data"].as_array().is_some_and(|all| !all.is_empty()).then_some(())
    })
    .await;
    let folder = stack.nats.process().folder().to_owned();
    assert!(!find_in_files(&folder, &["message.received"]).is_empty(), "the test reads no file of NATS");
    assert_eq!(find_in_files(&folder, &secrets), Vec::<String>::new());
    let (_, listed) = stack.api.get("/api/endpoints").await;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "{listed}");
    stack.api.call(reqwest::Method::DELETE, "/api/sessions/second?keepLinked=true", Value::Null).await;
    stack.finish().await;
}

#[tokio::test]
async fn a_key_is_given_later_and_exchanged_and_nothing_is_lost_without_it() {
    let mut stack = plan("").start().await;
    assert!(stack.api.process.output().contains("SECRETS_KEY is not set"), "the operator is warned");
    let (_, [endpoint, other]) = make_secrets(&stack).await;
    arrives(&stack, "plain").await;
    let folder = stack.nats.process().folder().to_owned();
    assert!(!find_in_files(&folder, &SECRETS).is_empty(), "the test finds what is not sealed");

    restart_with(&mut stack, OLD).await;
    stack.api.process.wait_for_line(|line| line.contains("values of webhook_endpoints again"), SOON).await;
    arrives(&stack, "sealed").await;
    restart_with(&mut stack, &format!("{NEW},{OLD}")).await;
    stack.api.process.wait_for_line(|line| line.contains("values of webhook_endpoints again"), SOON).await;
    arrives(&stack, "exchanged").await;

    // Without the key that sealed it: said plainly, and the event waits.
    restart_with(&mut stack, OLD).await;
    let (status, answer) = stack.api.get(&format!("/api/endpoints/{endpoint}")).await;
    assert_eq!((status, &answer["code"]), (503, &json!("secrets_sealed")), "{answer}");
    // One whose key is lost for good can be deleted.
    let (status, deleted) =
        stack.api.call(reqwest::Method::DELETE, &format!("/api/endpoints/{other}"), Value::Null).await;
    assert_eq!(status, 200, "{deleted}");
    let (_, diagnosis) = stack.api.get("/api/diagnosis").await;
    assert!(diagnosis.to_string().contains("SECRETS_KEY"), "{diagnosis}");
    stack.simulator.contact_writes(CONTACT, "waits").await;
    until("the event to be stored", SOON, async || {
        let stored = stack.events().await;
        stored.iter().any(|(_, _, body)| text(body) == "waits").then_some(())
    })
    .await;
    let warned = |line: &str| line.contains(&format!("failed to read webhook endpoint {endpoint}"));
    stack.dispatchers[0].wait_for_line(warned, SOON).await;
    assert!(!texts_at(&stack.receiver).contains(&"waits".to_owned()));

    restart_with(&mut stack, NEW).await;
    webhook(&stack.receiver, "the message that waited", |body| text(body) == "waits").await;
    assert_eq!(texts_at(&stack.receiver), ["plain", "sealed", "exchanged", "waits"]);
    stack.api.call(reqwest::Method::DELETE, "/api/sessions/second?keepLinked=true", Value::Null).await;
    stack.finish().await;
}
