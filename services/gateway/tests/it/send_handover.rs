//! A send whose gateway ends is finished by the next one, under the same id, and its event is published.

use crate::world::{BUDI, SOON, World};
use kurir_contract::{
    command::{Command, CommandReply, QueuedSend, SendText, SentMessage, WaitReason},
    session::SessionId,
    stream, subject,
};
use kurir_test_harness::until;
use serde_json::json;
use std::time::{Duration, Instant};

/// Longer than the gateway takes to stop.
const LATE: u64 = 60_000;

/// WhatsApp has the message and says so late.
async fn delay_acknowledgements(world: &World) {
    let late = json!({"kind": "delay", "delayMs": LATE, "match": {"direction": "fromClient", "stanza": "message"}});
    world.simulator.post("/faults", late).await;
}

/// Asks for a send, and gives the answer when it comes.
async fn ask(world: &World, text: &str) -> tokio::task::JoinHandle<Option<CommandReply<SentMessage>>> {
    let body = serde_json::to_vec(&SendText::new(BUDI.parse().expect("a number"), text)).expect("JSON");
    let client = world.nats.client().await;
    tokio::spawn(async move {
        let request = async_nats::Request::new().payload(body.into()).timeout(Some(SOON * 3));
        let subject = subject::command(&SessionId::default(), Command::SendText);
        let answer = client.send_request(subject, request).await.ok()?;
        serde_json::from_slice(&answer.payload).ok()
    })
}

async fn received(world: &World, text: &str) -> serde_json::Value {
    world.simulator.contact_receives(BUDI, text, SOON, |got| got["text"] == text).await
}

#[tokio::test]
async fn a_gateway_that_stops_answers_with_the_id_and_the_next_one_finishes() {
    let mut world = World::connected(&[]).await;
    delay_acknowledgements(&world).await;
    let answer = ask(&world, "on its way").await;
    let got = received(&world, "on its way").await;
    let begun = Instant::now();
    let status = world.gateway.terminate(SOON).await;
    assert!(status.success(), "the gateway ended with {status}");
    let CommandReply::Queued(QueuedSend { message_id, reason, .. }) = answer.await.expect("a task").expect("an answer")
    else {
        panic!("the caller heard something else")
    };
    assert_eq!((message_id.as_str(), reason), (got["id"].as_str().expect("an id"), WaitReason::GatewayStopped));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(world.events_of("error.occurred").await.is_empty());
    world.simulator.delete("/faults").await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    let sent = world.data("message.sent", |data| data["messageId"] == message_id.as_str()).await;
    assert_eq!(sent["content"]["text"], "on its way");
    assert!(world.events_of("error.occurred").await.is_empty());
    let all = world.simulator.received_by(BUDI).await;
    assert_eq!(all.len(), 1, "every copy has the same id: {all:?}");
    world.finish().await;
}

#[tokio::test]
async fn what_a_killed_gateway_had_begun_is_finished_by_the_next_one() {
    let settings = [("WHATSAPP_SEND_TIMEOUT", "1s"), ("WHATSAPP_SEND_PAUSES", "100ms")];
    let mut world = World::connected(&settings).await;
    delay_acknowledgements(&world).await;
    let answer = ask(&world, "begun").await;
    let got = received(&world, "begun").await;
    world.gateway.kill_9().await;
    answer.abort();
    world.simulator.delete("/faults").await;
    assert!(world.events_of("message.sent").await.is_empty());
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    // The note of the send falls due after the longest time that it could have taken.
    let sent = until("the event of the send", SOON * 3, || async {
        let sent = world.events_of("message.sent").await;
        sent.first().cloned().ok_or(sent)
    })
    .await;
    assert_eq!(sent.body["data"]["messageId"], got["id"]);
    assert_eq!(world.simulator.received_by(BUDI).await.len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_gateway_that_is_killed_at_any_moment_of_a_send_leaves_one_message_and_its_event() {
    let mut world = World::connected(&[]).await;
    for step in 0..8 {
        let text = format!("step {step}");
        let answer = ask(&world, &text).await;
        tokio::time::sleep(Duration::from_millis(4 * step)).await;
        world.gateway.kill_9().await;
        answer.abort();
        world.gateway.start_again();
        world.gateway.wait_ready(SOON).await;
        world.is("connected").await;
        let intents = || async {
            let outbox = world.jetstream().await.get_stream(stream::OUTBOX).await.expect("the stream");
            outbox.cached_info().state.messages
        };
        until("every send that has begun to be finished", SOON, || async {
            match intents().await {
                0 => Ok(()),
                open => Err(open),
            }
        })
        .await;
        let received = world.simulator.received_by(BUDI).await;
        let got: Vec<_> = received.iter().filter(|got| got["text"] == text.as_str()).collect();
        assert!(got.len() <= 1, "{got:?}");
        let sent = world.events_of("message.sent").await;
        let told: Vec<_> = sent.iter().filter(|sent| sent.body["data"]["content"]["text"] == text.as_str()).collect();
        assert_eq!(told.len(), got.len(), "{text}: {told:?} {got:?}");
        if let (Some(told), Some(got)) = (told.first(), got.first()) {
            assert_eq!(told.body["data"]["messageId"], got["id"]);
        }
    }
    assert!(world.events_of("error.occurred").await.is_empty());
    world.finish().await;
}
