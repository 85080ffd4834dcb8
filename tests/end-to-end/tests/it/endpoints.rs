//! Endpoints that a user makes through the API: signed, filtered, given up, replayed, counted. All through the real parts.

use kurir_test_harness::{Answer, Receiver, Stack, stack::SOON, until};
use serde_json::{Value, json};
use std::time::Duration;

const LOOPBACK: (&str, &str) = ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");

async fn stack() -> Stack {
    Stack::plan().dispatchers(2).dispatcher(LOOPBACK.0, LOOPBACK.1).api(LOOPBACK.0, LOOPBACK.1).start().await
}

/// Makes one and gives its id.
async fn made(stack: &Stack, settings: Value) -> String {
    let (status, answer) = stack.api.post("/api/endpoints", settings).await;
    assert_eq!(status, 201, "{answer}");
    assert!(answer["data"]["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{answer}");
    answer["data"]["id"].as_str().unwrap().to_owned()
}

/// Waits until the ledger of an endpoint shows what is asked for, and nothing is missing.
async fn ledger(stack: &Stack, id: &str, expected: Value) {
    until(format!("the ledger to show {expected}"), SOON * 2, || async {
        let (status, answer) = stack.api.get(&format!("/api/ledger?endpoint={id}")).await;
        let fields = expected.as_object().unwrap();
        let shows = status == 200 && fields.iter().all(|(name, value)| answer["data"][name] == *value);
        if shows && answer["data"]["missing"] == 0 { Ok(()) } else { Err((status, answer)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_what_it_wants_signed_and_the_ledger_adds_up() {
    let stack = stack().await;
    let receiver = Receiver::start().await;
    let filter = json!({"chats": ["+62 812-3456-7890"]});
    let id = made(&stack, json!({"url": receiver.url(), "events": ["message.*"], "filter": filter})).await;

    let (_, answer) = stack.api.post(&format!("/api/endpoints/{id}/test"), json!({})).await;
    assert_eq!(answer["result"]["success"], true, "{answer}");
    stack.simulator.contact_writes("6281234567890", "for the CRM").await;
    stack.simulator.contact_writes("6289999999999", "for somebody else").await;
    let is_message = |request: &kurir_test_harness::Request| request.json()["event"] == "message.received";
    let requests = receiver.wait_until("the message", SOON, |requests| requests.iter().any(is_message)).await;
    for request in &requests {
        assert!(request.header("webhook-signature").starts_with("v1,"), "it is signed");
    }
    ledger(&stack, &id, json!({"matched": 3, "delivered": 2, "filtered": 1, "dead": 0, "waiting": 0})).await;
    let messages = receiver.requests().iter().filter(|request| is_message(request)).count();
    assert_eq!(messages, 1, "the other chat is not its");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_replayed_under_its_id() {
    let stack = stack().await;
    let receiver = Receiver::start().await;
    receiver.always(Answer::status(500));
    let id = made(&stack, json!({"url": receiver.url(), "events": ["message.received"], "retry": []})).await;
    stack.simulator.contact_writes("6281234567890", "nobody listens").await;
    let first = receiver.wait_for(1, SOON).await.remove(0);
    ledger(&stack, &id, json!({"matched": 1, "dead": 1})).await;

    let (status, letters) = stack.api.get(&format!("/api/dead-letters?endpoint={id}")).await;
    assert_eq!((status, letters["data"].as_array().map(Vec::len)), (200, Some(1)), "{letters}");
    receiver.always(Answer::status(200));
    let (status, answer) = stack.api.post("/api/dead-letters/replay", json!({"endpoint": id})).await;
    assert_eq!(status, 202, "{answer}");
    let again = receiver.wait_for(2, SOON).await.remove(1);
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert_eq!((again.header("kurir-replay"), again.json()), ("true", first.json()));
    let replay = answer["data"]["id"].as_str().unwrap().to_owned();
    until("the replay to be done", Duration::from_secs(30), || async {
        let (_, answer) = stack.api.get(&format!("/api/replays/{replay}")).await;
        if answer["data"]["state"] == "done" { Ok(()) } else { Err(answer) }
    })
    .await;
    ledger(&stack, &id, json!({"matched": 1, "delivered": 1, "dead": 0})).await;

    // Everything of the types that it wants, however long ago.
    let since = json!({"endpoint": id, "since": "2026-01-01T00:00:00Z"});
    let (status, answer) = stack.api.post("/api/replays", since).await;
    assert_eq!((status, &answer["data"]["total"]), (202, &json!(1)), "{answer}");
    let third = receiver.wait_for(3, SOON).await.remove(2);
    assert_eq!(third.header("webhook-id"), first.header("webhook-id"));
    stack.finish().await;
}
