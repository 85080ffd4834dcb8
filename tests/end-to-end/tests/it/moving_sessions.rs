//! Sessions move without a new pairing: from a program that uses Baileys into Kurir, and from one installation of Kurir to
//! another.

use crate::{
    expect::{text, webhook},
    sessions::has_status,
    terminal::{kurir, succeeds},
};
use kurir_test_harness::{
    Stack,
    stack::{KEY, SOON},
    until,
    witness::{Client, STORE, Witness},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CONTACT: &str = "15550200001";
const PASSPHRASE: &str = "correct horse battery";

/// How often somebody could not read something and asked for it again.
async fn asked_again(stack: &Stack) -> [Value; 3] {
    let statistics = stack.simulator.get("/statistics").await;
    ["decryptionFailures", "retryRequestsFromClient", "retryRequestsToClient"].map(|name| statistics[name].clone())
}

/// Sends a file to the API; the status and the answer.
async fn upload(stack: &Stack, path: &str, passphrase: Option<&str>, body: Vec<u8>) -> (u16, Value) {
    let request = stack.api.request(Method::POST, path).header("X-API-Key", KEY).body(body);
    let request = passphrase.into_iter().fold(request, |request, one| request.header("X-Passphrase", one));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_baileys_is_taken_over_from_the_terminal() {
    let stack = Stack::plan().unpaired().start().await;
    let folder = tempfile::tempdir().unwrap();
    let simulator = stack.simulator.url("");
    let Some(mut witness) = Witness::start(Client::Baileys, &simulator, folder.path()).await else { return };
    witness.pair(async |code: String| stack.simulator.scan(&code).await).await;
    stack.simulator.contact_writes(CONTACT, "to the old program").await;
    witness.until_text("to the old program").await;
    witness.order(json!({"do": "send", "to": CONTACT, "text": "from the old program"}));
    witness.until("sent").await;
    witness.order(json!({"do": "disconnect"}));
    witness.until("disconnected").await;
    drop(witness);
    let asked = asked_again(&stack).await;

    let store = folder.path().join(STORE);
    let nothing = folder.path().to_str().unwrap();
    let (is_success, says) = kurir(&stack, &["session", "adopt", nothing]).await;
    assert!(!is_success && says.contains("creds.json"), "{says}");
    let path = store.to_str().unwrap();
    let says = succeeds(&stack, &["session", "adopt", path]).await;
    assert!(says.contains("was taken over") && !says.contains("not taken over"), "{says}");
    has_status(&stack.api, "default", "connected").await;
    stack.simulator.contact_writes(CONTACT, "to the new one").await;
    webhook(&stack.receiver, "a message", |body| text(body) == "to the new one").await;
    succeeds(&stack, &["send", CONTACT, "from the new one"]).await;
    stack.simulator.contact_receives(CONTACT, "the text", SOON, |got| got["text"] == "from the new one").await;
    assert_eq!(asked_again(&stack).await, asked, "keys were not taken over, but made anew");

    // Twice: into the same session, and into another one.
    let (is_success, says) = kurir(&stack, &["session", "adopt", path]).await;
    assert!(!is_success && says.contains("has these keys already"), "{says}");
    succeeds(&stack, &["session", "create", "second"]).await;
    let (is_success, says) = kurir(&stack, &["session", "adopt", path, "--session", "second"]).await;
    assert!(!is_success && says.contains("has these keys already"), "{says}");

    // What is damaged is named, and the session goes on as it was.
    let damaged = tempfile::tempdir().unwrap();
    for (content, expected) in [("{\"noiseKey\":", "creds.json cannot be read"), ("{}", "creds.json cannot be read")] {
        std::fs::write(damaged.path().join("creds.json"), content).unwrap();
        let path = damaged.path().to_str().unwrap();
        let (is_success, says) = kurir(&stack, &["session", "adopt", path, "--session", "second"]).await;
        assert!(!is_success && says.contains(expected), "{content}: {says}");
    }
    let (code, body) = upload(&stack, "/api/sessions/second/adopt", None, b"no tar file at all".to_vec()).await;
    assert_eq!((code, &body["code"]), (400, &json!("invalid_session_file")), "{body}");
    let (code, body) = upload(&stack, "/api/sessions/nobody/adopt", None, b"x".to_vec()).await;
    assert_eq!((code, &body["code"]), (404, &json!("session_not_found")), "{body}");
    has_status(&stack.api, "second", "pairing").await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_moves_to_another_installation() {
    // A phone that scans by itself would pair the new session before it has its keys.
    let here = Stack::plan().unpaired().start().await;
    let qr = until("a QR code", SOON, || async {
        let (_, body) = here.api.get("/api/whatsapp/status").await;
        body["data"]["qrCode"].as_str().map(str::to_owned).ok_or(body)
    })
    .await;
    here.simulator.scan(&qr).await;
    has_status(&here.api, "default", "connected").await;
    let whatsapp = here.simulator.websocket_url();
    // Its keys are in NATS there.
    let there = Stack::plan().unpaired().gateway("WHATSAPP_URL", &whatsapp).gateway("SESSION_STORE", "nats");
    let there = there.gateway("SESSION_KEY", "0123456789abcdef0123456789abcdef").start().await;
    here.simulator.contact_writes(CONTACT, "before the move").await;
    webhook(&here.receiver, "a message", |body| text(body) == "before the move").await;
    succeeds(&here, &["send", CONTACT, "sent before the move"]).await;
    let settings = json!({"name": "Sales", "metadata": {"crm": "7"}, "sendGap": "0s"});
    let (code, body) = here.api.call(Method::PATCH, "/api/sessions/default", settings).await;
    assert_eq!(code, 200, "{body}");

    // It does not leave while it runs, nor under a passphrase that guards nothing.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("default.sealed");
    let path = file.to_str().unwrap();
    let export = ["session", "export", "default", "--to", path, "--passphrase"];
    let with = |passphrase| [&export[..], &[passphrase]].concat();
    let (is_success, says) = kurir(&here, &with(PASSPHRASE)).await;
    assert!(!is_success && says.contains("Stop the session default first"), "{says}");
    succeeds(&here, &["session", "stop", "default"]).await;
    let (is_success, says) = kurir(&here, &with("short")).await;
    assert!(!is_success && says.contains("X-Passphrase"), "{says}");
    let says = succeeds(&here, &with(PASSPHRASE)).await;
    assert!(says.contains("bytes in"), "{says}");
    let sealed = std::fs::read(&file).unwrap();
    let readable = sealed.windows(6).any(|window| window == b"SQLite" || window == b"\"Sales");
    assert!(!readable, "the file is not sealed");
    let (code, body) = here.api.get("/api/sessions/nobody/export").await;
    assert_eq!(code, 400, "without a passphrase: {body}");

    // Another passphrase, half a file and a foreign one make no session.
    let asked = asked_again(&here).await;
    for (what, passphrase, bytes) in [
        ("another passphrase", "correct horse batterz", sealed.clone()),
        ("half a file", PASSPHRASE, sealed[..sealed.len() / 2].to_vec()),
        ("no sealed file", PASSPHRASE, b"this is a text and no sealed file".to_vec()),
    ] {
        let (code, body) = upload(&there, "/api/sessions/import?id=moved", Some(passphrase), bytes).await;
        assert_eq!((code, &body["code"]), (400, &json!("invalid_session_file")), "{what}: {body}");
    }
    until("no session to be left", SOON, || async {
        let (code, body) = there.api.get("/api/sessions/moved").await;
        if code == 404 { Ok(()) } else { Err(body) }
    })
    .await;

    here.simulator.contact_writes(CONTACT, "on the way").await;
    let begun = Instant::now();
    let says = succeeds(&there, &["session", "import", path, "--id", "moved", "--passphrase", PASSPHRASE]).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "the import took {:?}", begun.elapsed());
    assert!(says.starts_with("moved: running"), "{says}");
    let session = has_status(&there.api, "moved", "connected").await;
    assert_eq!((&session["name"], &session["metadata"]["crm"]), (&json!("Sales"), &json!("7")), "{session}");
    assert_eq!(session["sendGap"], "0s", "{session}");
    webhook(&there.receiver, "what came meanwhile", |body| text(body) == "on the way").await;
    here.simulator.contact_writes(CONTACT, "after the move").await;
    let got = webhook(&there.receiver, "a message", |body| text(body) == "after the move").await.json();
    assert_eq!(got["data"]["session"], "moved");
    succeeds(&there, &["send", CONTACT, "sent after the move", "--session", "moved"]).await;
    here.simulator.contact_receives(CONTACT, "the text", SOON, |got| got["text"] == "sent after the move").await;
    assert_eq!(asked_again(&here).await, asked, "keys were not moved, but made anew");

    // A second copy would end the first.
    let (is_success, says) =
        kurir(&there, &["session", "import", path, "--id", "again", "--passphrase", PASSPHRASE]).await;
    assert!(!is_success && says.contains("has these keys already"), "{says}");
    let (is_success, says) =
        kurir(&there, &["session", "import", path, "--id", "moved", "--passphrase", PASSPHRASE]).await;
    assert!(!is_success && says.contains("already"), "{says}");
    // Nobody was asked to scan a code meanwhile.
    for (subject, _, event) in there.events().await {
        let shows_code = subject.contains(".moved.") && !event["data"]["qrCode"].is_null();
        assert!(!shows_code, "{event}");
    }
    // And back, from NATS into a folder.
    succeeds(&there, &["session", "stop", "moved"]).await;
    let back = folder.path().join("moved.sealed");
    let path = back.to_str().unwrap();
    succeeds(&there, &["session", "export", "moved", "--to", path, "--passphrase", PASSPHRASE]).await;
    let (code, body) = here.api.call(Method::DELETE, "/api/sessions/default?keepLinked=true", json!({})).await;
    assert_eq!(code, 200, "{body}");
    here.simulator.contact_writes(CONTACT, "on the way back").await;
    succeeds(&here, &["session", "import", path, "--id", "back", "--passphrase", PASSPHRASE]).await;
    has_status(&here.api, "back", "connected").await;
    webhook(&here.receiver, "what came meanwhile", |body| text(body) == "on the way back").await;
    succeeds(&here, &["send", CONTACT, "sent from home", "--session", "back"]).await;
    here.simulator.contact_receives(CONTACT, "the text", SOON, |got| got["text"] == "sent from home").await;
    assert_eq!(asked_again(&here).await, asked, "keys were not moved, but made again");

    // The passphrase is in no log.
    for log in [here.gateway.output(), there.gateway.output()] {
        assert!(!log.contains(PASSPHRASE));
    }
    there.finish().await;
    here.finish().await;
}
