//! The gateway dies without warning, again and again, while messages stream in.

use crate::expect::{bodies, by_id, text};
use kurir_test_harness::{Stack, stack::SOON, until};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

const MESSAGES: usize = 1_000;
const KILLS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_of_the_gateway_lose_nothing() {
    let mut stack = Stack::start().await;
    stack.simulator.post("/load", json!({"messages": MESSAGES, "rate": 50, "contacts": 5})).await;
    for kill in 1..=KILLS {
        let before = by_id(&stack.receiver.requests()).len();
        until(format!("progress before kill {kill}"), SOON, || async {
            let now = by_id(&stack.receiver.requests()).len();
            if now >= MESSAGES || now > before + 20 { Ok(()) } else { Err((before, now)) }
        })
        .await;
        stack.gateway.kill_9().await;
        stack.gateway.start_again();
    }
    let requests = stack
        .receiver
        .wait_until("every message", Duration::from_secs(120), |requests| by_id(requests).len() >= MESSAGES)
        .await;
    assert_eq!(by_id(&requests).len(), MESSAGES, "a repeated message has the same webhook-id");
    let messages: BTreeSet<_> = bodies(&requests, "message.received")
        .iter()
        .map(|body| (body["data"]["from"].to_string(), text(body).to_owned()))
        .collect();
    assert_eq!(messages.len(), MESSAGES, "each message arrived");

    stack.settled().await;
    let stored: BTreeSet<String> = stack
        .events()
        .await
        .into_iter()
        .filter(|(_, _, body)| body["event"] == "message.received")
        .map(|(_, _, body)| body["data"]["messageId"].as_str().unwrap().to_owned())
        .collect();
    for message in stack.simulator.messages("acknowledged").await {
        let id = message["id"].as_str().unwrap();
        assert!(stored.contains(id), "{id} was acknowledged to WhatsApp and is not in EVENTS");
    }
    stack.finish().await;
}
