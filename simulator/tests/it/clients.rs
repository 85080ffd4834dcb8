//! Real clients among themselves: companions of one account, accounts that write to each other.

use std::collections::BTreeSet;

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Phone, Sim};

const ANNA: &str = "15550200001";

fn number_of(phone: &Phone) -> String {
    phone.client.pn().unwrap().user.to_string()
}

fn jid_of(phone: &Phone) -> String {
    format!("{}@s.whatsapp.net", number_of(phone))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_companion_sends_the_others_and_the_phone_see_as_their_own() {
    let (sim, one, two) = (Sim::start().await, tempdir().unwrap(), tempdir().unwrap());
    let first = Phone::paired(&sim, one.path(), Some("Shop")).await;
    let second = Phone::paired(&sim, two.path(), Some("Shop")).await;
    assert_eq!(number_of(&first), number_of(&second));
    let account = number_of(&first);

    let id = first.send(&format!("{ANNA}@s.whatsapp.net"), "from the first").await;
    let copy = second.until_heard("from the first").await;
    assert!(copy.from_me && copy.id == id, "{copy:?}");
    sim.until_received(ANNA, "from the first").await;
    sim.until_received(&account, "from the first").await;
    sim.until_state(&id, "acknowledged").await;

    // What a contact writes, each companion gets and acknowledges for itself.
    let id = sim.text(ANNA, "to both", json!({"to": account})).await;
    first.until_heard("to both").await;
    second.until_heard("to both").await;
    let lines = sim.until_state(&id, "acknowledged").await;
    assert_eq!(lines.as_array().unwrap().len(), 2);

    // And what the account's own phone writes, they see as theirs.
    let id = sim.text(&account, "from the phone", json!({"to": ANNA})).await;
    let copy = second.until_heard("from the phone").await;
    assert!(copy.from_me, "{copy:?}");
    sim.until_state(&id, "acknowledged").await;
    sim.until_received(ANNA, "from the phone").await;

    // The second is away: its queue waits, the first's does not.
    second.shutdown().await;
    sim.until("/accounts", |accounts| accounts[0]["devices"][1]["connected"] == false).await;
    sim.text(ANNA, "one is away", json!({"to": account})).await;
    first.until_heard("one is away").await;
    let accounts = sim.until("/accounts", |accounts| accounts[0]["devices"][0]["pending"] == 0).await;
    assert_eq!(accounts[0]["devices"][1]["pending"], 1);
    first.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_write_to_each_other_and_read_receipts() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let ann = Phone::paired(&sim, folder.path(), Some("Ann")).await;
    let bob = Phone::paired(&sim, folder.path(), Some("Bob")).await;
    let id = ann.send(&jid_of(&bob), "hello Bob").await;
    let heard = bob.until_heard("hello Bob").await;
    assert_eq!((heard.id.as_str(), heard.push_name.as_str()), (id.as_str(), "Ann"));
    bob.send(&jid_of(&ann), "hello Ann").await;
    ann.until_heard("hello Ann").await;
    let chat = heard.chat.clone();
    bob.client.mark_as_read(&chat, None, &[id.as_str()]).await.unwrap();
    ann.until(|event| match event {
        whatsapp_rust::types::events::Event::Receipt(receipt) => {
            (receipt.message_ids.contains(&id) && format!("{:?}", receipt.r#type) == "Read").then_some(())
        }
        _ => None,
    })
    .await;
    ann.shutdown().await;
    bob.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_cannot_decrypt_asks_the_client_that_wrote() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let ann = Phone::paired(&sim, folder.path(), Some("Ann")).await;
    let bob = Phone::paired(&sim, folder.path(), Some("Bob")).await;
    ann.send(&jid_of(&bob), "hello").await;
    bob.until_heard("hello").await;
    // Otherwise Bob's own phone may be faster to give it to him.
    sim.post("/admin/mock-phone/power", json!({"number": number_of(&bob), "on": false})).await;
    sim.post("/faults", json!({"kind": "corrupt", "match": {"contact": number_of(&ann)}, "times": 1})).await;
    let id = ann.send(&jid_of(&bob), "damaged on the way").await;
    assert_eq!(bob.until_heard("damaged on the way").await.id, id);
    let lines = sim.until_state(&id, "acknowledged").await;
    let to_bob: Vec<_> =
        lines.as_array().unwrap().iter().filter(|line| line["to"] == number_of(&bob).as_str()).collect();
    assert_eq!((to_bob.len(), &to_bob[0]["deliveries"]), (1, &json!(2)), "{lines:#}");
    ann.shutdown().await;
    bob.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_contacts_share_a_group() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let ann = Phone::paired(&sim, folder.path(), Some("Ann")).await;
    let bob = Phone::paired(&sim, folder.path(), Some("Bob")).await;
    let participants = json!([number_of(&ann), number_of(&bob), ANNA]);
    let group = sim.post("/groups", json!({"subject": "All", "participants": participants})).await;
    let group = group["id"].as_str().unwrap();
    for text in ["first", "second"] {
        ann.send(group, &format!("{text} by Ann")).await;
        let heard = bob.until_heard(&format!("{text} by Ann")).await;
        assert_eq!(heard.chat.to_string(), group);
        sim.until_received(ANNA, &format!("{text} by Ann")).await;
        bob.send(group, &format!("{text} by Bob")).await;
        ann.until_heard(&format!("{text} by Bob")).await;
    }
    sim.text(ANNA, "and a contact", json!({"group": group})).await;
    ann.until_heard("and a contact").await;
    bob.until_heard("and a contact").await;
    ann.shutdown().await;
    bob.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_clients_write_to_each_other_at_once() {
    const CLIENTS: usize = 20;
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let names: Vec<String> = (0..CLIENTS).map(|n| format!("Client {n}")).collect();
    let clients: Vec<Phone> =
        futures::future::join_all(names.iter().map(|name| Phone::paired(&sim, folder.path(), Some(name)))).await;
    // Each writes to the next three, all at once.
    let sends = clients.iter().enumerate().flat_map(|(n, client)| {
        let clients = &clients;
        (1..=3).map(move |step| {
            let to = jid_of(&clients[(n + step) % CLIENTS]);
            async move { client.send(&to, &format!("{n} to {}", (n + step) % CLIENTS)).await }
        })
    });
    futures::future::join_all(sends).await;
    for (n, client) in clients.iter().enumerate() {
        for step in 1..=3 {
            let from = (n + CLIENTS - step) % CLIENTS;
            client.until_heard(&format!("{from} to {n}")).await;
        }
        let heard: BTreeSet<String> = client.heard().into_iter().map(|heard| heard.text).collect();
        assert_eq!(heard.len(), 3, "{heard:?}");
    }
    sim.until("/statistics", |statistics| {
        statistics["messages"]["acknowledged"] == 60 && statistics["messages"]["sent"] == 0
    })
    .await;
    futures::future::join_all(clients.into_iter().map(Phone::shutdown)).await;
    sim.stop().await;
}
