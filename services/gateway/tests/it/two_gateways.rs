//! Two gateways are never one session: one of them holds it, and the other one says so and stays away.

use crate::world::{BUDI, SOON, World};
use async_nats::RequestErrorKind;
use kurir_contract::{
    command::Command,
    session::{SESSION_HOLDERS_BUCKET, SessionId},
    subject,
};
use kurir_test_harness::{Nats, Process, until};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

/// A gateway beside that of the world, with sessions of its own.
fn another(world: &World, sessions: Option<&Path>) -> Process {
    let sessions = sessions.map_or_else(|| "./sessions".to_owned(), |folder| folder.display().to_string());
    let settings = [
        ("NATS_URL", world.nats.url()),
        ("WHATSAPP_URL", world.simulator.websocket_url()),
        ("WHATSAPP_SESSION_PATH", sessions),
        ("LOG_FILE", String::new()),
        ("SEND_GAP", "0s".to_owned()),
        ("LOG_LEVEL", "info,kurir_gateway=debug".to_owned()),
    ];
    let settings = settings.map(|(variable, value)| (variable.to_owned(), value));
    let settings = settings.into_iter().chain(Nats::login("gateway"));
    Process::spawn("second gateway", env!("CARGO_BIN_EXE_kurir-gateway-for-simulator"), settings)
}

async fn refuses(gateway: &mut Process) {
    gateway.wait_for_line(|line| line.contains("holds the session default"), SOON).await;
    assert!(gateway.is_running(), "{}", gateway.output());
    let output = gateway.output();
    assert!(!output.contains("Scan this with WhatsApp"), "{output}");
}

async fn holder(world: &World) -> Value {
    until("a holder", SOON, || async {
        let bucket = world.jetstream().await.get_key_value(SESSION_HOLDERS_BUCKET).await.map_err(|e| e.to_string())?;
        let holder = bucket.get("default").await.map_err(|error| error.to_string())?.ok_or("no holder")?;
        serde_json::from_slice::<Value>(&holder).map_err(|error| error.to_string())
    })
    .await
}

#[tokio::test]
async fn a_second_gateway_takes_no_command_and_says_why() {
    let mut world = World::connected(&[]).await;
    let mut second = another(&world, None);
    refuses(&mut second).await;
    let copies = tempfile::tempdir().expect("a folder");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(world.gateway.folder().join("sessions"))
        .arg(copies.path().join("sessions"))
        .status();
    assert!(copied.is_ok_and(|status| status.success()));
    let mut third = another(&world, Some(&copies.path().join("sessions")));
    refuses(&mut third).await;
    let before = holder(&world).await;
    for n in 0..20 {
        world.send(BUDI, &format!("text {n}")).await.expect("the first gateway sends");
    }
    assert_eq!(world.status().await.status.as_str(), "connected");
    assert_eq!(holder(&world).await, before);
    // Also when the session is free, a gateway whose keys are others never follows by itself.
    world.gateway.terminate(SOON).await;
    world.gateway.start_again();
    world.is("connected").await;
    refuses(&mut second).await;
    refuses(&mut third).await;
    world.finish().await;
}

#[tokio::test]
async fn a_gateway_that_was_frozen_notices_that_another_one_has_taken_over() {
    let mut world = World::connected(&[]).await;
    let frozen = holder(&world).await["gateway"].clone();
    world.gateway.pause();
    // It has an account of its own: with the folder of the first it could not start.
    let mut second = another(&world, None);
    second.wait_for_line(|line| line.contains("session default is connected"), SOON * 2).await;
    let now = holder(&world).await["gateway"].clone();
    assert_ne!(now, frozen);
    world.gateway.resume();
    world.gateway.wait_for_line(|line| line.contains("holds the session default"), SOON).await;
    for n in 0..5 {
        world.send(BUDI, &format!("text {n}")).await.expect("the second gateway sends");
    }
    assert_eq!(holder(&world).await["gateway"], now);
    second.terminate(SOON).await;
    world.finish().await;
}

#[tokio::test]
async fn a_session_goes_on_when_the_records_of_its_holder_vanish() {
    let world = World::connected(&[]).await;
    let before = holder(&world).await;
    let jetstream = world.jetstream().await;
    for bucket in ["session_holders", "gateways"] {
        jetstream.delete_key_value(bucket).await.expect("deleted");
    }
    let after = holder(&world).await;
    assert_eq!(after["gateway"], before["gateway"]);
    world.simulator.contact_sends(BUDI, json!({"text": "still here"})).await;
    world.event("message.received", |data| data["content"]["text"] == "still here").await;
    world.send(BUDI, "so am I").await.expect("sent");
    world.finish().await;
}

#[tokio::test]
async fn a_gateway_that_leaves_answers_everybody_who_asked() {
    let mut world = World::connected(&[]).await;
    let client = world.nats.client().await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        callers.spawn(async move {
            loop {
                let subject = subject::command(&SessionId::default(), Command::Status);
                let request = async_nats::Request::new().payload("{}".into()).timeout(Some(SOON));
                match client.send_request(subject, request).await {
                    Ok(_) => {}
                    // Nobody is there any more.
                    Err(error) if error.kind() == RequestErrorKind::NoResponders => return,
                    Err(error) => panic!("a request was not answered: {error}"),
                }
            }
        });
    }
    world.send(BUDI, "in the middle of it").await.expect("the gateway sends");
    world.gateway.terminate(SOON).await;
    while let Some(caller) = callers.join_next().await {
        caller.expect("each request is answered");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_gateway_that_leaves_gives_its_session_up_at_once() {
    let mut world = World::connected(&[]).await;
    world.gateway.terminate(SOON).await;
    let begun = std::time::Instant::now();
    let mut second = another(&world, None);
    second.wait_for_line(|line| line.contains("session default is"), SOON).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "it waited for the lease: {:?}", begun.elapsed());
    second.terminate(SOON).await;
    world.finish().await;
}
