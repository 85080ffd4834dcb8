//! Outages that outlast the wait for NATS, and kills, while a pause stands between decrypting a message and handing it
//! over. No key may be on disk before the message that it has moved past: whatever is acknowledged is in EVENTS.
//!
//! `KURIR_OUTAGES` and `KURIR_OUTAGE_RATE` make the runs longer and denser for a measurement.

use crate::{
    outage::all_acknowledged,
    world::{SOON, World},
};
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use kurir_contract::{command::CommandErrorCode, stream};
use kurir_test_harness::until;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const PAUSE: (&str, &str) = ("SIMULATED_PAUSE_BEFORE_KEEPING", "30ms");
const CONTACTS: u64 = 40;
/// Messages come in front of an outage, during it, and behind it.
const BEFORE: Duration = Duration::from_secs(3);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Begins a stream of messages.
async fn load(world: &World, messages: u64, rate: u64) {
    world.simulator.post("/load", json!({"messages": messages, "rate": rate, "contacts": CONTACTS})).await;
}

/// Waits until WhatsApp has given all messages and holds none, and checks that EVENTS has each of them once, in order.
async fn none_is_lost(world: &World, messages: u64) {
    until("WhatsApp to have given all messages", SOON * 6, || async {
        let known = world.simulator.get("/messages").await.as_array().map_or(0, Vec::len) as u64;
        if known >= messages { Ok(()) } else { Err(known) }
    })
    .await;
    until("WhatsApp to have every acknowledgement", SOON * 6, || async {
        let mut open = world.simulator.messages("queued").await;
        open.extend(world.simulator.messages("sent").await);
        if open.is_empty() { Ok(()) } else { Err(open.len()) }
    })
    .await;
    all_acknowledged(world).await;
    let received = world.events_of("message.received").await;
    let data = || received.iter().map(|event| &event.body["data"]);
    let stored: BTreeSet<&str> = data().filter_map(|data| data["messageId"].as_str()).collect();
    let acknowledged = world.simulator.messages("acknowledged").await;
    let lost: Vec<_> = acknowledged.iter().filter(|m| !stored.contains(m["id"].as_str().unwrap_or_default())).collect();
    eprintln!("{} of {} messages were lost", lost.len(), acknowledged.len());
    assert!(lost.is_empty(), "{} were acknowledged and are not in EVENTS: {lost:?}", lost.len());
    assert_eq!(stored.len() as u64, messages);
    assert_eq!(received.len() as u64, messages, "something is there twice");
    let mut chats: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for data in data() {
        let text = data["content"]["text"].as_str().unwrap_or_default();
        let n = text.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a numbered text");
        chats.entry(data["from"].as_str().unwrap_or_default()).or_default().push(n);
    }
    for (chat, numbers) in chats {
        assert!(numbers.is_sorted(), "{chat} is out of order: {numbers:?}");
    }
}

async fn outages(lasting: Duration, default: u64) {
    let (count, rate) = (number("KURIR_OUTAGES", default), number("KURIR_OUTAGE_RATE", 60));
    let mut world = World::connected(&[("BROKER_WAIT", "10s"), PAUSE]).await;
    let seconds = count * (lasting + BEFORE * 2).as_secs();
    load(&world, rate * seconds, rate).await;
    for _ in 0..count {
        tokio::time::sleep(BEFORE).await;
        world.nats.kill().await;
        tokio::time::sleep(lasting).await;
        world.nats.start_again().await;
        world.is("connected").await;
    }
    none_is_lost(&world, rate * seconds).await;
    world.finish().await;
}

#[tokio::test]
async fn an_outage_a_little_longer_than_the_wait_loses_nothing() {
    outages(Duration::from_secs(11), 2).await;
}

#[tokio::test]
async fn an_outage_much_longer_than_the_wait_loses_nothing() {
    outages(Duration::from_secs(40), 1).await;
}

#[tokio::test]
async fn killed_between_decrypting_and_keeping_the_gateway_loses_nothing() {
    let mut world = World::connected(&[PAUSE]).await;
    load(&world, 1_000, 60).await;
    for _ in 0..number("KURIR_KILLS", 8) {
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        world.gateway.kill_9().await;
        world.gateway.start_again();
        world.gateway.wait_ready(SOON).await;
    }
    none_is_lost(&world, 1_000).await;
    world.finish().await;
}

/// What is sent is encrypted with a key that the client makes when it reads what the contact wrote before. Who answers uses
/// that key, so it must outlive the gateway.
#[tokio::test]
async fn killed_after_a_send_the_gateway_reads_the_answer_to_it() {
    const CONTACT: &str = "6281230020099";
    let mut world = World::connected(&[("SIMULATED_PAUSE_BEFORE_KEEPING", "2s")]).await;
    world.send(CONTACT, "one").await.expect("sent");
    world.simulator.contact_receives(CONTACT, "the first text", SOON, |got| got["text"] == "one").await;
    world.simulator.contact_writes(CONTACT, "two").await;
    until("the gateway to have it", SOON, || async { !world.simulator.messages("sent").await.is_empty() }).await;
    let text = || world.simulator.contact_receives(CONTACT, "the second text", SOON, |got| got["text"] == "three");
    let (_, _) = tokio::join!(async { world.send(CONTACT, "three").await.expect("sent") }, text());
    world.gateway.kill_9().await;
    world.simulator.contact_writes(CONTACT, "four").await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    until("both answers", SOON, || async {
        let texts = world.texts_from(&format!("{CONTACT}@s.whatsapp.net")).await;
        if texts == ["two", "four"] { Ok(()) } else { Err(texts) }
    })
    .await;
    // What cannot be read is asked for once more, and comes late.
    assert_eq!(world.simulator.get("/statistics").await["retryRequestsFromClient"], 0);
    world.finish().await;
}

/// EVENTS takes no more, or takes all again.
async fn bound_events(world: &World, most: i64) {
    let jetstream = world.jetstream().await;
    let mut events = jetstream.get_stream(stream::EVENTS).await.expect("the gateway made the stream");
    let config = events.info().await.expect("its settings").config.clone();
    let bounded = Config { max_messages: most, discard: DiscardPolicy::New, ..config };
    jetstream.update_stream(bounded).await.expect("the stream takes it");
}

#[tokio::test]
async fn a_send_whose_keys_were_refused_goes_out_with_others_under_its_id() {
    let world = World::connected(&[("BROKER_WAIT", "2s"), PAUSE]).await;
    let count = world.events().await.len();
    bound_events(&world, i64::try_from(count).expect("a few")).await;
    // All of them begin before the gateway knows that there is no room. Whoever is refused asks again.
    let sends = (0..12).map(|n| {
        let world = &world;
        async move {
            let to = format!("62812300200{n:02}");
            loop {
                match world.send(&to, "from here").await {
                    Err(error) if error.code == CommandErrorCode::StorageFull => {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                    sent => return (to, sent),
                }
            }
        }
    });
    let sends = async { futures::future::join_all(sends).await };
    // Nobody can keep these, so the gateway leaves WhatsApp, and refuses the keys of that connection.
    let writes = async {
        for contact in 0..8 {
            world.simulator.contact_writes(&format!("62812300100{contact:02}"), "hello").await;
        }
    };
    let room = async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        bound_events(&world, -1).await;
    };
    let (sends, (), ()) = tokio::join!(sends, writes, room);
    for (to, sent) in sends {
        let sent = sent.expect("sent");
        let got = world.simulator.contact_receives(&to, "the text", SOON, |got| got["id"] == sent.message_id.as_str());
        let got = got.await;
        assert_eq!(got["text"], "from here", "{got}");
        assert_eq!(world.simulator.received_by(&to).await.len(), 1, "it arrived under several ids");
    }
    for contact in 0..8 {
        let chat = format!("62812300100{contact:02}@s.whatsapp.net");
        until("the message that waited", SOON, || async {
            let texts = world.texts_from(&chat).await;
            if texts == ["hello"] { Ok(()) } else { Err(texts) }
        })
        .await;
    }
    world.finish().await;
}
