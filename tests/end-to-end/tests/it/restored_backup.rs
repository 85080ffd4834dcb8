//! An older copy of NATS' store is put back while the services run: they go on with it, and nothing that comes afterwards is lost.

use crate::expect::{bodies, text};
use kurir_test_harness::{Receiver, Stack, stack::SOON, until};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::Path,
    time::Duration,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const CONTACT: &str = "6281234567890";

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = {
            let entry = entry.unwrap();
            (entry.path(), entry.file_name())
        };
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn words(numbers: Range<usize>) -> BTreeSet<String> {
    numbers.map(|n| format!("message {n}")).collect()
}

/// How often each text came under each path of the receiver.
fn arrivals(receiver: &Receiver, path: &str) -> BTreeMap<String, usize> {
    let mut arrivals = BTreeMap::new();
    let requests: Vec<_> = receiver.requests().into_iter().filter(|request| request.path == path).collect();
    for body in bodies(&requests, "message.received") {
        *arrivals.entry(text(&body).to_owned()).or_default() += 1;
    }
    arrivals
}

async fn write_and_await(stack: &Stack, numbers: Range<usize>, paths: &[&str]) {
    for n in numbers.clone() {
        stack.simulator.contact_writes(CONTACT, &format!("message {n}")).await;
    }
    for path in paths {
        until(&format!("messages {numbers:?} at {path}"), SOON, async || {
            let arrived = arrivals(&stack.receiver, path);
            let missing: Vec<_> =
                words(numbers.clone()).into_iter().filter(|word| !arrived.contains_key(word)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {arrived:?}")) }
        })
        .await;
    }
}

async fn endpoint(stack: &Stack, path: &str, settings: Value) {
    let mut body = json!({"url": stack.receiver.url().replace("/webhook", path), "events": ["message.received"]});
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let (status, made) = stack.api.post("/api/endpoints", body).await;
    assert_eq!(status, 201, "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_nats_is_restored_under_running_services() {
    let local = ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
    let plan = Stack::plan().dispatchers(2).api(local.0, local.1).dispatcher(local.0, local.1);
    let mut stack = plan.start().await;
    endpoint(&stack, "/patient", json!({})).await;
    endpoint(&stack, "/ordered", json!({"ordering": "chat"})).await;
    let paths = ["/webhook", "/patient", "/ordered"];
    write_and_await(&stack, 0..5, &paths).await;
    // In the copy it is a send of the future; it is done before the copy comes back.
    let at = (OffsetDateTime::now_utc() + Duration::from_secs(8)).format(&Rfc3339).unwrap();
    let later = json!({"to": CONTACT, "message": "sent later", "options": {"sendAt": at}});
    let (status, sent) = stack.api.post("/api/whatsapp/send-message", later).await;
    assert_eq!(status, 202, "{sent}");

    let (store, copy) = (stack.nats.process().folder().join("store"), tempfile::TempDir::new().unwrap());
    stack.nats.stop().await;
    copy_folder(&store, copy.path());
    stack.nats.start_again().await;
    stack.connected(SOON).await;
    write_and_await(&stack, 5..10, &paths).await;
    stack
        .simulator
        .contact_receives(CONTACT, "the later message", SOON, |message| message["text"] == "sent later")
        .await;

    stack.nats.stop().await;
    fs::remove_dir_all(&store).unwrap();
    copy_folder(copy.path(), &store);
    stack.nats.start_again().await;
    stack.connected(SOON).await;
    write_and_await(&stack, 10..20, &paths).await;

    let stored: BTreeSet<String> = stack.events().await.iter().map(|(_, _, body)| text(body).to_owned()).collect();
    assert!(stored.is_superset(&words(0..5)) && stored.is_superset(&words(10..20)), "{stored:?}");
    assert!(stored.is_disjoint(&words(5..10)), "the copy is not the older one: {stored:?}");
    until("the search index to follow the restored stream", SOON, async || {
        let (_, found) = stack.api.get("/api/search?q=message&limit=100").await;
        let text = found.to_string();
        let has = |n: &usize| text.contains(&format!("\"message {n}\""));
        let right = (0..5).chain(10..20).all(|n| has(&n)) && !(5..10).any(|n| has(&n));
        if right { Ok(()) } else { Err(found) }
    })
    .await;
    let received = stack.simulator.received_by(CONTACT).await;
    let later = received.iter().filter(|message| message["text"] == "sent later").count();
    assert_eq!(later, 1, "a send that the copy holds as waiting was sent again: {received:?}");
    let (_, listed) = stack.api.get("/api/endpoints").await;
    let with_default = Some(3);
    assert_eq!(listed["data"].as_array().map(Vec::len), with_default, "{listed}");
    assert_eq!(stack.dead_letters().await.len(), 0);
    stack.finish().await;
}
