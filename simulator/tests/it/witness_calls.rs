//! Calls, pictures, new phones of contacts and the past, as clients that nobody here wrote see them.

use serde_json::json;
use tempfile::tempdir;

use crate::{
    support::Sim,
    witness::{Client, Witness, for_each_client},
};

const CONTACT: &str = "15550200001";

async fn sees_calls_pictures_and_new_phones(client: Client) {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    witness.pair(async |code| sim.scan(code).await).await;
    let path = format!("/contacts/{CONTACT}/calls");
    let id = sim.post(&path, json!({"video": true})).await["id"].clone();
    witness.until_fits("call", |event| event["id"] == id && event["state"] == "offer").await;
    sim.post(&path, json!({"action": "accept", "id": id})).await;
    witness.until_fits("call", |event| event["id"] == id && event["state"] == "terminate").await;
    let group = sim.post("/groups", json!({"subject": "G", "participants": [CONTACT]})).await["id"].clone();
    let id = sim.post(&path, json!({"group": group})).await["id"].clone();
    witness.until_fits("call", |event| event["id"] == id && event["group"] == group).await;

    sim.post(&format!("/contacts/{CONTACT}/profile"), json!({"picture": true})).await;
    let told = witness.until("picture_changed").await;
    let picture = sim.get(&format!("/contacts/{CONTACT}")).await["picture"].clone();
    witness.order(json!({"do": "picture", "to": CONTACT}));
    let shown = witness.until("picture").await;
    assert!(shown["url"].as_str().unwrap().starts_with("https://"), "{shown}");
    // One of the clients says the ids, and may say which one it has.
    if matches!(client, Client::Whatsmeow) {
        assert_eq!((&told["id"], &shown["id"]), (&picture, &picture));
        witness.order(json!({"do": "picture", "to": CONTACT, "id": picture}));
        assert_eq!(witness.until("picture").await["url"], "");
    }

    // A contact's new phone: the client opens a new session by itself.
    witness.order(json!({"do": "send", "to": CONTACT, "text": "to the old phone"}));
    witness.until("sent").await;
    sim.text(CONTACT, "thanks", json!({})).await;
    witness.until_text("thanks").await;
    sim.post(&format!("/contacts/{CONTACT}/reinstall"), json!({})).await;
    if matches!(client, Client::Whatsmeow) {
        witness.until("identity").await;
    }
    sim.until("/accounts", |all| all[0]["devices"][0]["pending"] == 0).await;
    witness.order(json!({"do": "send", "to": CONTACT, "text": "to the new phone"}));
    witness.until("sent").await;
    sim.until_received(CONTACT, "to the new phone").await;
    sim.stop().await;
}

async fn reads_the_past(client: Client) {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    let number = witness.pair(async |code| sim.scan(code).await).await;
    let past = json!({"contact": CONTACT, "messages": [{"id": "OLD", "text": "long ago", "timestamp": 1_700_000_000}]});
    sim.post(&format!("/accounts/{number}/history"), past).await;
    let heard = witness.until_fits("history", |event| event["text"] == "long ago").await;
    assert_eq!(heard["kind"], "RECENT");
    // One of the clients asks the phone by itself for what the server could not give it.
    let unread = json!({"text": "only on the phone", "unavailable": "fanout"});
    if matches!(client, Client::Baileys) {
        sim.post(&format!("/contacts/{CONTACT}/messages"), unread).await;
        witness.until_text("only on the phone").await;
    }
    sim.stop().await;
}

for_each_client! {
    reads_the_past: whatsmeow_reads_the_past, baileys_reads_the_past;
    sees_calls_pictures_and_new_phones:
        whatsmeow_sees_calls_pictures_and_new_phones, baileys_sees_calls_pictures_and_new_phones;
}
