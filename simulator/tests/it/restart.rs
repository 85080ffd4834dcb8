//! What survives a restart of the simulator, and what a client makes of a new server key.

use std::net::{SocketAddr, TcpListener};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::tempdir;
use whatsapp_rust::types::events::Event;
use whatsapp_simulator::Config;

use crate::support::{Phone, Setup, Sim};

const ANNA: &str = "15550200001";

/// A port that is free now; the client must find the simulator there again.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_sessions_and_queues_survive_a_restart() {
    let (state, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let config = Config { listen: free_port(), state: Some(state.path().to_owned()), ..Config::for_tests() };
    let sim = Sim::with(config.clone()).await;
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let group = sim.post("/groups", json!({"subject": "G", "participants": [ANNA]})).await;
    sim.text(ANNA, "before", json!({})).await;
    sim.text(ANNA, "before in the group", json!({"group": group["id"]})).await;
    phone.until_heard("before in the group").await;
    phone.shutdown().await;
    let waiting = sim.text(ANNA, "waits over the restart", json!({})).await;
    let accounts = sim.until("/accounts", |accounts| accounts[0]["devices"][0]["connected"] == false).await;
    sim.stop().await;

    let sim = Sim::with(config).await;
    assert_eq!(sim.get("/accounts").await, accounts);
    assert_eq!(sim.get(&format!("/messages?id={waiting}")).await[0]["state"], "queued");
    let store = folder.path().join("default.db");
    let phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
    phone.until_heard("waits over the restart").await;
    sim.until_state(&waiting, "acknowledged").await;
    // Old sessions go on, in both directions and in the group.
    sim.text(ANNA, "after in the group", json!({"group": group["id"]})).await;
    phone.until_heard("after in the group").await;
    phone.send(&format!("{ANNA}@s.whatsapp.net"), "after").await;
    sim.until_received(ANNA, "after").await;
    let statistics = sim.get("/statistics").await;
    assert_eq!(statistics["handshakes"], json!({"ik": 1}));
    assert_eq!(statistics["decryptionFailures"], 0);
    assert_eq!(phone.count(|event| matches!(event, Event::UndecryptableMessage(_))), 0);
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_an_older_server_key_falls_back_to_xx() {
    let (state, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let config = Config { listen: free_port(), state: Some(state.path().to_owned()), ..Config::for_tests() };
    let sim = Sim::with(config.clone()).await;
    let phone = Phone::paired(&sim, folder.path(), None).await;
    phone.shutdown().await;
    sim.stop().await;

    let file = state.path().join("simulator.json");
    let mut saved: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    saved["server_key"] = json!(BASE64_STANDARD.encode([0x48; 32]));
    std::fs::write(&file, saved.to_string()).unwrap();

    let sim = Sim::with(config).await;
    let store = folder.path().join("default.db");
    let phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
    phone.connected().await;
    assert_eq!(sim.get("/statistics").await["handshakes"], json!({"xxfallback": 1}));
    sim.text(ANNA, "still there", json!({})).await;
    phone.until_heard("still there").await;
    phone.shutdown().await;
    sim.stop().await;
}
