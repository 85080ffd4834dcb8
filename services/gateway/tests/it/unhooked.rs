//! Messages that count as delivered before they are stored, of channels or recovered from the phone: they wait for NATS
//! in the gateway, and are published once.

use crate::world::{BUDI, BUDI_JID, SOON, World};
use kurir_test_harness::until;
use serde_json::{Value, json};

const CHANNEL: &str = "120363000000000077";

async fn writes_in_channel(world: &World, text: &str) -> String {
    let written = world.simulator.post(&format!("/channels/{CHANNEL}/messages"), json!({"text": text})).await;
    written["id"].as_str().expect("an id").to_owned()
}

/// The phone sends a message of Budi's that could not be decrypted here.
async fn recovers(world: &World, account: &str, id: &str, text: &str) {
    let message = json!({"id": id, "text": text, "timestamp": 1_795_526_845});
    let path = format!("/accounts/{account}/recovered");
    world.simulator.post(&path, json!({"contact": BUDI, "message": message})).await;
}

/// Waits until WhatsApp counts everything as acknowledged.
async fn nothing_waits(world: &World) {
    until("nothing to wait at WhatsApp", SOON, || async {
        let accounts = world.simulator.get("/accounts").await;
        if accounts[0]["devices"][0]["pending"] == 0 { Ok(()) } else { Err(accounts) }
    })
    .await;
}

fn texts(events: &[crate::world::Stored]) -> Vec<&Value> {
    events.iter().map(|event| &event.body["data"]["content"]["text"]).collect()
}

#[tokio::test]
async fn a_message_of_a_channel_and_a_recovered_one_are_events() {
    let world = World::connected(&[]).await;
    let account = world.account().await;
    let id = writes_in_channel(&world, "news").await;
    let data = world.data("message.received", |data| data["messageId"] == id.as_str()).await;
    let channel = format!("{CHANNEL}@newsletter");
    assert_eq!((&data["chat"]["jid"], &data["content"]), (&json!(channel), &json!({"text": "news"})), "{data}");
    recovers(&world, &account, "3EB0LOST", "found again").await;
    let data = world.data("message.received", |data| data["messageId"] == "3EB0LOST").await;
    assert_eq!((&data["chat"]["jid"], &data["content"]), (&json!(BUDI_JID), &json!({"text": "found again"})), "{data}");
    assert_eq!(data["timestamp"], 1_795_526_845_000_u64);
    world.finish().await;
}

#[tokio::test]
async fn they_wait_for_nats_and_come_once_and_in_order() {
    let mut world = World::connected(&[]).await;
    let account = world.account().await;
    world.nats.stop().await;
    writes_in_channel(&world, "1").await;
    nothing_waits(&world).await;
    recovers(&world, &account, "3EB0LOST", "2").await;
    nothing_waits(&world).await;
    writes_in_channel(&world, "3").await;
    nothing_waits(&world).await;
    world.nats.start_again().await;
    world.data("message.received", |data| data["content"]["text"] == "3").await;
    assert_eq!(texts(&world.events_of("message.received").await), ["1", "2", "3"]);
    // Nobody sends them again.
    world.gateway.restart().await;
    world.is("connected").await;
    world.simulator.contact_writes(BUDI, "4").await;
    world.data("message.received", |data| data["content"]["text"] == "4").await;
    assert_eq!(texts(&world.events_of("message.received").await), ["1", "2", "3", "4"]);
    world.finish().await;
}
