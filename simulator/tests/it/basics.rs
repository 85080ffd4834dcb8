//! Pairing, login, texts both ways, receipts, the offline queue.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;
use whatsapp_rust::types::events::Event;

use crate::support::{Phone, Setup, Sim};

const ACCOUNT: &str = "15550100001";
const ANNA: &str = "15550200001";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_connected_within_a_second_of_the_scan() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let store = folder.path().join("client.db");
    let phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
    phone.qr().await;
    let begun = Instant::now();
    let paired = phone.scan(&sim).await;
    assert_eq!(paired["number"], ACCOUNT);
    phone.connected().await;
    let took = begun.elapsed();
    // Half a second on an idle machine; the trap that this guards against costs ten.
    assert!(took < Duration::from_secs(4), "pairing took {took:?}");
    eprintln!("pairing took {took:?}");

    phone.until(|event| matches!(event, Event::HistorySync(_)).then_some(())).await;
    let accounts = sim.until("/accounts", |accounts| accounts[0]["devices"][0]["pending"] == 0).await;
    assert_eq!(accounts[0]["number"], ACCOUNT);
    assert_eq!(accounts[0]["devices"][0]["connected"], true);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_receipts_go_both_ways() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;

    let id = sim.text(ANNA, "hello", json!({"pushName": "Anna"})).await;
    let heard = phone.until_heard("hello").await;
    assert_eq!((heard.id.as_str(), heard.push_name.as_str()), (id.as_str(), "Anna"));
    assert_eq!(heard.chat.to_string(), format!("{ANNA}@s.whatsapp.net"));
    let lines = sim.until_state(&id, "acknowledged").await;
    assert_eq!(lines[0]["deliveries"], 1);
    sim.until(&format!("/contacts/{ANNA}/receipts"), |receipts| {
        receipts[0]["id"] == id.as_str() && receipts[0]["type"] == "delivered"
    })
    .await;

    let sent = phone.send(&format!("{ANNA}@s.whatsapp.net"), "good day").await;
    assert_eq!(phone.until_acked(&sent).await, None);
    let received = sim.until_received(ANNA, "good day").await;
    assert_eq!(received["id"], sent.as_str());
    assert_eq!((received["from"].as_str(), &received["copies"]), (Some(ACCOUNT), &json!(1)));
    phone
        .until(|event| match event {
            Event::Receipt(receipt) => receipt.message_ids.contains(&sent).then_some(()),
            _ => None,
        })
        .await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_comes_on_the_next_connection() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    sim.text(ANNA, "while you are here", json!({})).await;
    phone.until_heard("while you are here").await;
    phone.shutdown().await;
    sim.until("/accounts", |accounts| accounts[0]["devices"][0]["connected"] == false).await;

    let mut ids = Vec::new();
    for n in 1..=20 {
        ids.push(sim.text(ANNA, &format!("missed {n}"), json!({})).await);
    }
    sim.until_state(&ids[19], "queued").await;
    let store = folder.path().join("default.db");
    let phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
    phone.until_heard("missed 20").await;
    let order: Vec<String> = phone.heard().into_iter().map(|heard| heard.text).collect();
    let wanted: Vec<String> = (1..=20).map(|n| format!("missed {n}")).collect();
    assert_eq!(order, wanted);
    for id in &ids {
        sim.until_state(id, "acknowledged").await;
    }
    let statistics = sim.get("/statistics").await;
    assert_eq!(statistics["handshakes"]["ik"], 1, "{statistics:#}");
    phone.shutdown().await;
    sim.stop().await;
}
