//! What clients that nobody here wrote learn of groups that somebody else makes and changes.

use serde_json::json;
use tempfile::tempdir;

use crate::{
    support::Sim,
    witness::{Client, Witness, for_each_client},
};

const CONTACT: &str = "15550200001";
const OTHER: &str = "15550200002";

async fn is_added_and_told_of_changes(client: Client) {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    let number = witness.pair(async |code| sim.scan(code).await).await;
    let new = json!({"subject": "Team", "participants": [CONTACT, OTHER, number], "creator": CONTACT});
    let id = sim.post("/groups", new).await["id"].as_str().unwrap().to_owned();
    let path = format!("/groups/{id}");
    let change = async |body| assert_eq!(sim.call("PATCH", &path, Some(body)).await.0, 200);
    change(json!({"remove": [number]})).await;
    change(json!({"add": [number]})).await;
    let joined = witness.until("joined_group").await;
    assert_eq!((&joined["id"], &joined["name"]), (&json!(id), &json!("Team")));
    change(json!({"subject": "2026"})).await;
    witness.until_fits("group", |event| event["name"] == "2026").await;
    change(json!({"announcement": true})).await;
    witness.until_fits("group", |event| event["announce"] == true).await;
    change(json!({"settings": {"ephemeral": 86_400, "approval": true}})).await;
    witness.until_fits("group", |event| event["ephemeral"] == 86_400).await;
    sim.text(CONTACT, "welcome", json!({"group": id})).await;
    assert_eq!(witness.until_text("welcome").await["chat"], id);
    sim.stop().await;
}

for_each_client! {
    is_added_and_told_of_changes: whatsmeow_is_added_and_told_of_changes, baileys_is_added_and_told_of_changes;
}
