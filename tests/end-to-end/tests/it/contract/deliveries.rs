//! Section "Delivery": the request, what counts as success, and the waits between the tries.

use crate::expect::bodies;
use kurir_test_harness::{Answer, Request, Stack, stack::SOON, until};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_a_post_and_only_2xx_ends_it() {
    let stack = Stack::start().await;
    for (answer, tries) in [
        (Answer::status(200), 1),
        (Answer::status(204), 1),
        (Answer::status(299), 1),
        (Answer::status(302), 2),
        (Answer::status(400), 2),
        (Answer::status(404), 2),
        (Answer::status(410), 2),
        (Answer::status(500), 2),
        (Answer::Hang, 2),
    ] {
        stack.settled().await;
        stack.receiver.forget();
        stack.receiver.answers([answer.clone()]);
        stack.simulator.contact_writes("6281234567890", "a message").await;
        let requests = stack.receiver.wait_for(tries, SOON).await;
        for request in &requests {
            assert_eq!((request.method.as_str(), request.header("content-type")), ("POST", "application/json"));
            assert_eq!(request.header("user-agent"), "WhatsApp-API-Webhook/1.0.0");
            assert_eq!(request.body, requests[0].body, "the same at every try");
            assert_eq!(request.header("webhook-id"), requests[0].header("webhook-id"));
        }
        stack.settled().await;
        assert_eq!(stack.receiver.count(), tries, "{answer:?}");
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_tries_2_4_and_8_seconds_apart_then_it_is_given_up() {
    let stack = Stack::start().await;
    stack.settled().await;
    stack.receiver.forget();
    stack.receiver.answers([Answer::status(500), Answer::status(500), Answer::status(500), Answer::status(500)]);
    stack.simulator.contact_writes("6281234567890", "nobody takes it").await;
    let requests = stack.receiver.wait_for(4, SOON).await;
    let waits: Vec<Duration> = requests.windows(2).map(|two: &[Request]| two[1].at - two[0].at).collect();
    for (wait, seconds) in waits.iter().zip([2, 4, 8]) {
        let least = Duration::from_secs(seconds);
        assert!((least..least + Duration::from_secs(4)).contains(wait), "{waits:?}");
    }
    let told = until("error.occurred to be stored", SOON, || async {
        let told = stack.events().await.into_iter().find(|(_, _, body)| body["event"] == "error.occurred");
        told.map(|(_, _, body)| body).ok_or("no such event")
    })
    .await;
    let context = &told["data"]["context"];
    assert_eq!(
        (&context["eventId"], &context["attempts"]),
        (&json!(requests[0].header("webhook-id")), &json!(4)),
        "{told}"
    );
    stack.settled().await;
    assert_eq!(bodies(&stack.receiver.requests(), "message.received").len(), 4, "and not once more");
    assert_eq!(stack.dead_letters().await.len(), 1);
    stack.finish().await;
}
