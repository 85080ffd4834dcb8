//! A client whose list of another account's devices is old learns it from the ack of its message, and renews the list.

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Phone, Sim};

/// Sends texts until the other device hears one. The notice about it was lost, so only an ack can have told the client.
async fn until_renewed(from: &Phone, to: &str, other: &Phone, text: &str) {
    for round in 1..=20 {
        let id = from.send(to, &format!("{text} {round}")).await;
        assert_eq!(from.until_acked(&id).await, None);
        let begun = std::time::Instant::now();
        while begun.elapsed() < std::time::Duration::from_millis(500) {
            if other.heard().iter().any(|heard| heard.text.starts_with(text)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
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
