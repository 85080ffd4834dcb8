//! Whoever may read a stream may have NATS deliver its messages to any subject. None of them is a command.

use crate::world::{SOON, World};
use async_nats::jetstream::consumer::pull;
use kurir_contract::{command::Command, session::SessionId, subject};
use kurir_test_harness::until;
use serde_json::json;

const IGNORED: &str = "ignored a command without a caller";

#[tokio::test]
async fn an_event_that_is_delivered_to_a_commands_subject_does_nothing() {
    let world = World::connected(&[]).await;
    let logout = subject::command(&SessionId::default(), Command::Logout);
    let jetstream = world.nats.jetstream().await;
    let events = jetstream.get_stream("EVENTS").await.expect("the stream");
    let reader = pull::Config { durable_name: Some("reader".to_owned()), ..pull::Config::default() };
    events.create_consumer(reader).await.expect("a consumer");

    // As the answer to a pull, and as a message without a caller.
    let client = world.nats.client().await;
    let pull = "$JS.API.CONSUMER.MSG.NEXT.EVENTS.reader";
    client.publish_with_reply(pull, logout.clone(), json!({"batch": 1}).to_string().into()).await.expect("sent");
    client.publish(logout.clone(), "{}".into()).await.expect("sent");
    client.flush().await.expect("flushed");

    until("the forged commands to be ignored", SOON, || async {
        let seen = world.gateway.output().lines().filter(|line| line.contains(IGNORED)).count();
        if seen == 2 { Ok(()) } else { Err(seen) }
    })
    .await;
    world.is("connected").await;
    world.finish().await;
}
