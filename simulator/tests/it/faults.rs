//! Deliberate faults, as a client feels them.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;
use whatsapp_rust::types::events::Event;

use crate::support::{Phone, Sim};

const ANNA: &str = "15550200001";
const ANNA_JID: &str = "15550200001@s.whatsapp.net";

#[tokio::test(flavor = "multi_thread")]
async fn a_swallowed_ack_leaves_one_message_with_two_copies_when_tried_again() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.post("/faults", json!({"kind": "swallow-ack", "match": {"contact": ANNA}, "times": 1})).await;
    let send = async || {
        let options = whatsapp_rust::SendOptions::default().with_message_id("TRIED-TWICE");
        let message = waproto::whatsapp::Message { conversation: Some("once".into()), ..Default::default() };
        phone
            .client
            .send_message_with_options(ANNA_JID.parse::<whatsapp_rust::Jid>().unwrap(), message, options)
            .await
            .unwrap();
    };
    send().await;
    sim.until_received(ANNA, "once").await;
    assert_eq!(sim.get("/faults").await[0]["met"], 1);
    send().await;
    assert_eq!(phone.until_acked("TRIED-TWICE").await, None);
    let path = format!("/contacts/{ANNA}/messages");
    let all = sim.until(&path, |all| all[0]["copies"] == 2).await;
    assert_eq!(all.as_array().unwrap().len(), 1);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nack_has_its_number_and_reaches_nobody() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.post("/faults", json!({"kind": "nack", "code": 463, "times": 1})).await;
    let id = phone.send(ANNA_JID, "refused").await;
    assert_eq!(phone.until_acked(&id).await.as_deref(), Some("463"));
    let id = phone.send(ANNA_JID, "taken").await;
    assert_eq!(phone.until_acked(&id).await, None);
    sim.until_received(ANNA, "taken").await;
    assert_eq!(sim.get(&format!("/contacts/{ANNA}/messages")).await.as_array().unwrap().len(), 1);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_and_another_order_are_what_the_client_gets() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.text(ANNA, "zero", json!({})).await;
    phone.until_heard("zero").await;
    sim.post("/faults", json!({"kind": "reorder", "times": 1})).await;
    let one = sim.text(ANNA, "one", json!({})).await;
    sim.text(ANNA, "two", json!({})).await;
    phone.until_heard("one").await;
    let order: Vec<String> = phone.heard().into_iter().map(|heard| heard.text).collect();
    assert_eq!(order, ["zero", "two", "one"]);
    sim.until_state(&one, "acknowledged").await;

    sim.post("/faults", json!({"kind": "duplicate", "times": 1})).await;
    let twice = sim.text(ANNA, "twice", json!({})).await;
    let lines = sim
        .until(&format!("/messages?id={twice}"), |lines| {
            lines[0]["deliveries"] == 2 && lines[0]["state"] == "acknowledged"
        })
        .await;
    assert_eq!(lines.as_array().unwrap().len(), 1);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_on_the_way_comes_on_the_next_connection() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.post("/faults", json!({"kind": "lose", "match": {"direction": "toClient"}, "times": 1})).await;
    let id = sim.text(ANNA, "lost at first", json!({})).await;
    sim.text(ANNA, "not lost", json!({})).await;
    phone.until_heard("not lost").await;
    assert_eq!(sim.get(&format!("/messages?id={id}")).await[0]["state"], "queued");
    sim.post("/connections/drop", json!({})).await;
    let heard = phone.until_heard("lost at first").await;
    assert!(heard.offline);
    assert_eq!(sim.until_state(&id, "acknowledged").await[0]["deliveries"], 1);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unacknowledged_message_stays_sent_and_comes_again() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    // The client's receipts get lost, so WhatsApp does not know.
    let fault = json!({"kind": "lose", "match": {"stanza": "receipt", "direction": "fromClient"}});
    let fault = sim.post("/faults", fault).await["id"].clone();
    let id = sim.text(ANNA, "twice", json!({})).await;
    phone.until_heard("twice").await;
    // The client sends its receipt a moment after it has handed the message over.
    sim.until("/faults", |faults| faults[0]["met"].as_u64() > Some(0)).await;
    assert_eq!(sim.get(&format!("/messages?id={id}")).await[0]["state"], "sent");
    assert_eq!(sim.call("DELETE", &format!("/faults/{fault}"), None).await.0, 204);
    sim.post("/connections/drop", json!({})).await;
    let lines = sim.until_state(&id, "acknowledged").await;
    assert_eq!(lines[0]["deliveries"], 2);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_delays_both_directions() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    phone.send(ANNA_JID, "a session first").await;
    sim.until_received(ANNA, "a session first").await;
    sim.post("/faults", json!({"kind": "delay", "delayMs": 700, "times": 2})).await;
    let begun = Instant::now();
    let id = phone.send(ANNA_JID, "acked late").await;
    phone.until_acked(&id).await;
    assert!(begun.elapsed() >= Duration::from_millis(700));
    let begun = Instant::now();
    sim.text(ANNA, "comes late", json!({})).await;
    phone.until_heard("comes late").await;
    assert!(begun.elapsed() >= Duration::from_millis(700));
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_answers_nothing_and_ends() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    phone.send(ANNA_JID, "before").await;
    sim.until_received(ANNA, "before").await;
    sim.post("/faults", json!({"kind": "silence", "seconds": 2})).await;
    let begun = Instant::now();
    let queued = sim.text(ANNA, "after the silence", json!({})).await;
    assert_eq!(sim.get(&format!("/messages?id={queued}")).await[0]["state"], "queued");
    phone.until_heard("after the silence").await;
    assert!(begun.elapsed() >= Duration::from_millis(1_900));
    assert_eq!(phone.count(|event| matches!(event, Event::Disconnected(_))), 0);
    phone.shutdown().await;
    sim.stop().await;
}
