//! A client whose list of another account's devices is old learns it from the ack of its message, and renews the list. What one
//! device of an account asks another one reaches it.

use serde_json::json;
use std::time::Duration;
use tempfile::tempdir;
use tokio::time::timeout;
use wacore_binary::builder::NodeBuilder;
use whatsapp_rust::NodeFilter;

use crate::support::{Phone, Sim};

/// Sends texts until the other device hears one. The notice about it was lost, so only an ack can have told the client.
async fn until_renewed(from: &Phone, to: &str, other: &Phone, text: &str) {
    for round in 1..=20 {
        let id = from.send(to, &format!("{text} {round}")).await;
        assert_eq!(from.until_acked(&id).await, None);
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(500) {
            if other.heard().iter().any(|heard| heard.text.starts_with(text)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    panic!("the client never renewed its list; the other device heard {:#?}", other.heard());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_an_old_list_of_devices_renews_it() {
    let (sim, one, two) = (Sim::start().await, tempdir().unwrap(), tempdir().unwrap());
    let ann = Phone::paired(&sim, one.path(), Some("Ann")).await;
    let bob = Phone::paired(&sim, one.path(), Some("Bob")).await;
    let (number, sender) = (bob.client.pn().unwrap().user.to_string(), ann.client.pn().unwrap().user.to_string());
    let chat = format!("{number}@s.whatsapp.net");
    let group = sim.post("/groups", json!({"subject": "G", "participants": [number, sender]})).await;
    let group = group["id"].as_str().unwrap().to_owned();
    for to in [&chat, &group] {
        ann.send(to, &format!("hello {to}")).await;
        bob.until_heard(&format!("hello {to}")).await;
    }
    // Ann is not told of Bob's second companion.
    let lost = json!({"kind": "lose", "match": {"direction": "toClient", "stanza": "notification", "account": sender}});
    sim.post("/faults", lost).await;
    let second = Phone::paired(&sim, two.path(), Some("Bob")).await;
    assert_eq!(second.client.pn().unwrap().user, number);
    until_renewed(&ann, &chat, &second, "to the chat").await;

    let third = tempdir().unwrap();
    let third = Phone::paired(&sim, third.path(), Some("Bob")).await;
    until_renewed(&ann, &group, &third, "to the group").await;
    for phone in [ann, bob, second, third] {
        phone.shutdown().await;
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_gets_what_another_companion_of_its_account_asks_it() {
    let (sim, one, two) = (Sim::start().await, tempdir().unwrap(), tempdir().unwrap());
    let asks = Phone::paired(&sim, one.path(), Some("Ann")).await;
    let asked = Phone::paired(&sim, two.path(), Some("Ann")).await;
    let (from, to) = (asks.client.lid().unwrap(), asked.client.pn().unwrap());
    let arrives =
        asked.client.wait_for_node(NodeFilter::tag("message").attr("category", "peer").attr("id", "3EB0PEER"));
    let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "pkmsg").bytes(vec![0x33, 1]).build();
    let proof = NodeBuilder::new("device-identity").bytes(vec![1]).build();
    let message = NodeBuilder::new("message")
        .attr("to", to)
        .attr("id", "3EB0PEER")
        .attr("type", "text")
        .attr("category", "peer")
        .children([enc, proof]);
    asks.client.send_node(message.build()).await.unwrap();
    let arrived = timeout(Duration::from_secs(20), arrives).await.expect("in time").unwrap();
    let arrived = arrived.get();
    assert_eq!(arrived.get_attr("from").unwrap().as_str(), from.to_string());
    assert!(arrived.get_attr("recipient").is_none(), "it belongs to no chat: {arrived:?}");
    asks.shutdown().await;
    asked.shutdown().await;
    sim.stop().await;
}
