//! NATS goes away and comes back, and the gateway is killed: nothing is lost, nothing is stored twice, each chat keeps
//! its order.

use crate::world::{SOON, World};
use kurir_test_harness::until;
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

const CONTACTS: [&str; 3] = ["6281230000001", "6281230000002", "6281230000003"];

pub async fn write(world: &World, from: usize, to: usize) {
    for n in from..to {
        for (contact, addressing) in CONTACTS.iter().zip(["pn", "lid", "lid"]) {
            world.simulator.contact_sends(contact, json!({"text": n.to_string(), "addressing": addressing})).await;
        }
    }
}

/// Waits until EVENTS holds the texts 0 to `last` of every contact, and checks that it holds each once, in order.
pub async fn all_in_order(world: &World, last: usize) {
    let expected: Vec<String> = (0..=last).map(|n| n.to_string()).collect();
    for contact in CONTACTS {
        let chat = format!("{contact}@s.whatsapp.net");
        until(format!("all texts of {contact}"), SOON * 3, || async {
            let texts = world.texts_from(&chat).await;
            if texts.contains(&last.to_string()) { Ok(()) } else { Err(texts) }
        })
        .await;
        assert_eq!(world.texts_from(&chat).await, expected, "{contact}");
    }
    let mut seen = BTreeSet::new();
    for event in world.events_of("message.received").await {
        assert!(seen.insert(event.id.clone()), "{} is there twice", event.id);
    }
}

/// Waits until WhatsApp counts everything as acknowledged.
pub async fn all_acknowledged(world: &World) {
    acknowledged_within(world, SOON).await;
}

pub async fn acknowledged_within(world: &World, within: Duration) {
    until("WhatsApp to have every acknowledgement", within, || async {
        let mut open = world.simulator.messages("queued").await;
        open.extend(world.simulator.messages("sent").await);
        if open.is_empty() { Ok(()) } else { Err(open) }
    })
    .await;
}

#[tokio::test]
async fn a_short_outage_of_nats_is_waited_for_inside_the_hook() {
    let mut world = World::connected(&[]).await;
    write(&world, 0, 3).await;
    all_in_order(&world, 2).await;
    world.nats.stop().await;
    write(&world, 3, 10).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let acknowledged = world.simulator.messages("acknowledged").await.len();
    assert_eq!(acknowledged, 9, "what is not stored was acknowledged");
    world.nats.start_again().await;
    all_in_order(&world, 9).await;
    all_acknowledged(&world).await;
    assert!(!world.told().await.contains(&"waiting_for_broker".to_owned()), "it left WhatsApp");
    world.finish().await;
}

#[tokio::test]
async fn a_long_outage_of_nats_makes_the_gateway_leave_whatsapp_and_come_back() {
    let mut world = World::connected(&[("BROKER_WAIT", "3s")]).await;
    write(&world, 0, 3).await;
    all_in_order(&world, 2).await;
    world.nats.kill().await;
    write(&world, 3, 6).await;
    until("the gateway to leave WhatsApp", SOON, || async {
        let accounts = world.simulator.get("/accounts").await;
        if accounts[0]["devices"][0]["connected"] == false { Ok(()) } else { Err(accounts) }
    })
    .await;
    // While the gateway is away, WhatsApp keeps what arrives.
    write(&world, 6, 9).await;
    world.nats.start_again().await;
    all_in_order(&world, 8).await;
    all_acknowledged(&world).await;
    until("the world to be told", SOON, || async {
        let told = world.told().await;
        if told.ends_with(&["waiting_for_broker", "connecting", "connected"].map(str::to_owned)) {
            Ok(())
        } else {
            Err(told)
        }
    })
    .await;
    world.is("connected").await;
    world.finish().await;
}

#[tokio::test]
async fn a_nats_that_hangs_is_an_outage_too() {
    let mut world = World::connected(&[("BROKER_WAIT", "6s")]).await;
    write(&world, 0, 2).await;
    all_in_order(&world, 1).await;
    world.nats.process().pause();
    write(&world, 2, 5).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    write(&world, 5, 7).await;
    world.nats.process().resume();
    all_in_order(&world, 6).await;
    all_acknowledged(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn killed_ten_times_in_a_stream_of_messages_the_gateway_loses_none() {
    let mut world = World::connected(&[]).await;
    let load = world.simulator.post("/load", json!({"messages": 1000, "rate": 100, "contacts": 3})).await;
    let load = load["id"].as_str().expect("an id").to_owned();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.gateway.kill_9().await;
        // At no moment is a message acknowledged that is not stored.
        let stored: BTreeSet<String> = message_ids(&world).await;
        for message in world.simulator.messages("acknowledged").await {
            let id = message["id"].as_str().expect("an id");
            assert!(stored.contains(id), "{id} was acknowledged but is not in EVENTS");
        }
        world.gateway.start_again();
        world.gateway.wait_ready(SOON).await;
    }
    until("all messages to be in EVENTS", SOON * 3, || async {
        let stored = message_ids(&world).await.len();
        if stored == 1000 { Ok(()) } else { Err(stored) }
    })
    .await;
    all_acknowledged(&world).await;
    let received = world.events_of("message.received").await;
    assert_eq!(received.len(), 1000, "something is there twice");
    let chats: BTreeSet<&str> = received.iter().filter_map(|event| event.body["data"]["from"].as_str()).collect();
    for chat in chats {
        let numbers: Vec<u64> = world
            .texts_from(chat)
            .await
            .iter()
            .map(|text| text.strip_prefix(&format!("{load} ")).and_then(|n| n.parse().ok()).expect("a numbered text"))
            .collect();
        assert!(numbers.is_sorted(), "{chat} is out of order: {numbers:?}");
    }
    world.finish().await;
}

#[tokio::test]
async fn nats_killed_again_and_again_keeps_every_chat_in_order() {
    // Shorter than the outages, so that the gateway leaves WhatsApp in each of them, mostly in the middle of a batch.
    let mut world = World::connected(&[("BROKER_WAIT", "500ms")]).await;
    let load = world.simulator.post("/load", json!({"messages": 2000, "rate": 100, "contacts": 4})).await;
    let load = load["id"].as_str().expect("an id").to_owned();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.nats.kill().await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        world.nats.start_again().await;
    }
    until("all messages to be in EVENTS", SOON * 3, || async {
        let stored = message_ids(&world).await;
        if stored.len() == 2000 {
            return Ok(());
        }
        // WhatsApp sends again what it still holds. What it no longer holds and EVENTS lacks is lost.
        let known = world.simulator.get("/messages").await;
        let known = known.as_array().cloned().unwrap_or_default();
        let missing = known.into_iter().filter(|m| !stored.contains(m["id"].as_str().unwrap_or_default()));
        Err((stored.len(), missing.take(5).collect::<Vec<_>>()))
    })
    .await;
    all_acknowledged(&world).await;
    let received = world.events_of("message.received").await;
    let chats: BTreeSet<&str> = received.iter().filter_map(|event| event.body["data"]["from"].as_str()).collect();
    assert_eq!(chats.len(), 4);
    for chat in chats {
        let expected: Vec<String> = (1..=500).map(|n| format!("{load} {n}")).collect();
        assert_eq!(world.texts_from(chat).await, expected, "{chat}");
    }
    world.finish().await;
}

async fn message_ids(world: &World) -> BTreeSet<String> {
    let received = world.events_of("message.received").await;
    received.iter().map(|event| event.body["data"]["messageId"].as_str().unwrap_or_default().to_owned()).collect()
}
