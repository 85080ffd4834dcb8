//! What clients that nobody here wrote do with an account, a contact and a group.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use std::time::{Duration, Instant};

use crate::{
    support::Sim,
    witness::{Client, Witness, for_each_client},
};

const CONTACT: &str = "15550200001";
const OTHER: &str = "15550200002";

/// A PNG of one pixel: clients look into the file.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

async fn text_goes_both_ways(witness: &mut Witness, sim: &Sim, round: &str) {
    let hello = format!("hello client {round}");
    let id = sim.text(CONTACT, &hello, json!({})).await;
    let heard = witness.until_text(&hello).await;
    assert_eq!(heard["id"], id);
    sim.until_state(&id, "acknowledged").await;

    let hello = format!("hello contact {round}");
    witness.order(json!({"do": "send", "to": CONTACT, "text": hello}));
    let sent = witness.until("sent").await["id"].clone();
    assert_eq!(sim.until_received(CONTACT, &hello).await["id"], sent);
    witness.until_receipt(&sent).await;
}

async fn pairs_by_qr_logs_in_again_and_talks(client: Client) {
    let sim = Sim::start().await;
    let folder = tempfile::tempdir().unwrap();
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    let number = witness.pair(async |code| sim.scan(code).await).await;
    text_goes_both_ways(&mut witness, &sim, "one").await;

    witness.order(json!({"do": "disconnect"}));
    witness.until("disconnected").await;
    sim.until("/accounts", |all| all[0]["number"] == number && all[0]["devices"][0]["connected"] == false).await;
    let away = sim.text(CONTACT, "while you were away", json!({})).await;
    witness.order(json!({"do": "connect"}));
    witness.until("connected").await;
    witness.until_text("while you were away").await;
    sim.until_state(&away, "acknowledged").await;
    text_goes_both_ways(&mut witness, &sim, "two").await;

    sim.post("/sessions/logout", json!({})).await;
    witness.until("logged_out").await;
    let unanswered = &sim.get("/statistics").await["unansweredIqs"];
    eprintln!("unanswered: {unanswered}");
}

async fn pairs_by_code(client: Client) {
    let sim = Sim::start().await;
    let folder = tempfile::tempdir().unwrap();
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    witness.order(json!({"do": "connect"}));
    witness.until("qr").await;
    witness.order(json!({"do": "pair_code", "number": "15550300001"}));
    let code = witness.until("pair_code").await["code"].clone();
    // Baileys gives the code before WhatsApp has read its question.
    let entered = json!({"number": "15550300001", "code": code});
    let began = Instant::now();
    loop {
        let (status, answer) = sim.call("POST", "/admin/mock-phone/enter-code", Some(entered.clone())).await;
        if (200..300).contains(&status) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{status}: {answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    witness.until("paired").await;
    witness.until("connected").await;
    text_goes_both_ways(&mut witness, &sim, "by code").await;
}

async fn reads_files_numbers_and_texts_that_look_like_tokens(client: Client) {
    let sim = Sim::start().await;
    let folder = tempfile::tempdir().unwrap();
    let Some(mut witness) = Witness::start(client, sim.base(), folder.path()).await else { return };
    witness.pair(async |code| sim.scan(code).await).await;

    let size = BASE64_STANDARD.decode(PIXEL).unwrap().len();
    sim.text(CONTACT, "", json!({"type": "image", "mimetype": "image/png", "caption": "a pixel", "base64": PIXEL}))
        .await;
    let heard = witness.until_text("a pixel").await;
    assert_eq!(heard["size"], size, "{heard}");
    witness.order(json!({"do": "send_image", "to": CONTACT, "text": "my pixel", "base64": PIXEL}));
    witness.until("sent").await;
    let id = sim.until_received(CONTACT, "my pixel").await["id"].as_str().unwrap().to_owned();
    assert_eq!(sim.bytes(&format!("/contacts/{CONTACT}/messages/{id}/media")).await.len(), size);

    witness.order(json!({"do": "exists", "number": OTHER}));
    assert_eq!(witness.until("exists").await["found"], true);
    // A text that is a token, and one that is a number.
    sim.post(&format!("/contacts/{CONTACT}/profile"), json!({"about": "available"})).await;
    witness.order(json!({"do": "about", "number": CONTACT}));
    assert_eq!(witness.until("about").await["text"], "available");
    witness.order(json!({"do": "group_create", "name": "Us", "with": [CONTACT, OTHER]}));
    let group = witness.until("group_created").await;
    assert_eq!(group["members"], 3, "{group}");
    let id = group["id"].as_str().unwrap();
    let (status, answer) = sim.call("PATCH", &format!("/groups/{id}"), Some(json!({"description": "2026"}))).await;
    assert_eq!(status, 200, "{answer}");
    witness.order(json!({"do": "group_topic", "to": id}));
    assert_eq!(witness.until("group_topic").await["text"], "2026");
    sim.text(CONTACT, "hello group", json!({"group": id})).await;
    let heard = witness.until_text("hello group").await;
    assert_eq!(heard["chat"], id);
    witness.order(json!({"do": "send", "to": id, "text": "hello all"}));
    witness.until("sent").await;
    for member in [CONTACT, OTHER] {
        sim.until_received(member, "hello all").await;
    }
}

for_each_client! {
    pairs_by_qr_logs_in_again_and_talks:
        whatsmeow_pairs_by_qr_logs_in_again_and_talks, baileys_pairs_by_qr_logs_in_again_and_talks;
    pairs_by_code: whatsmeow_pairs_by_code, baileys_pairs_by_code;
    reads_files_numbers_and_texts_that_look_like_tokens:
        whatsmeow_reads_files_numbers_and_texts, baileys_reads_files_numbers_and_texts;
}
