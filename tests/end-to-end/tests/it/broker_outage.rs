//! NATS goes away while people write: nothing is lost, nothing is doubled, the order of each chat holds.

use crate::expect::by_id;
use kurir_test_harness::{Stack, until};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

/// Past the hook's bound and WhatsApp's reconnect.
const RECOVERED_WITHIN: Duration = Duration::from_secs(90);
const CONTACTS: usize = 3;

async fn outage(seconds: u64, messages: usize) {
    let mut stack = Stack::start().await;
    let gateway = stack.gateway.id();
    let load = json!({"messages": messages, "rate": messages as f64 / (seconds as f64 + 4.0), "contacts": CONTACTS});
    let load = stack.simulator.post("/load", load).await["id"].as_str().unwrap().to_owned();
    until("the first messages", RECOVERED_WITHIN, || async {
        let seen = by_id(&stack.receiver.requests()).len();
        if seen >= 3 { Ok(()) } else { Err(seen) }
    })
    .await;
    stack.nats.stop().await;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stack.nats.start_again().await;

    let requests = stack
        .receiver
        .wait_until("every message", RECOVERED_WITHIN, |requests| by_id(requests).len() >= messages)
        .await;
    stack.settled().await;
    assert_eq!(stack.gateway.id(), gateway, "the gateway needs no restart");

    let ids = by_id(&requests);
    assert_eq!(ids.len(), messages, "one webhook-id per message");
    let mut texts: Vec<&String> = ids.values().map(|texts| &texts[0]).collect();
    texts.sort();
    texts.dedup();
    assert!(ids.values().all(|texts| texts.iter().all(|text| *text == texts[0])), "an id names one message");

    // EVENTS: each once, and in order within a chat.
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut stored = 0;
    for (_, _, body) in stack.events().await.into_iter().filter(|(_, _, body)| body["event"] == "message.received") {
        let chat = body["data"]["from"].as_str().unwrap().to_owned();
        let text = body["data"]["content"]["text"].as_str().unwrap();
        let number: u64 = text.strip_prefix(&format!("{load} ")).unwrap().parse().unwrap();
        let before = last.insert(chat.clone(), number).unwrap_or_default();
        assert_eq!(number, before + 1, "{chat}: {number} came after {before}");
        stored += 1;
    }
    assert_eq!((stored, last.len()), (messages, CONTACTS));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_seconds_without_nats_lose_nothing() {
    outage(5, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_seconds_without_nats_lose_nothing() {
    outage(60, 120).await;
}
