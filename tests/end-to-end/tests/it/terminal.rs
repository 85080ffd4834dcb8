//! The command line against a whole stack: what a user does without a browser.

use crate::expect::{text, webhook};
use kurir_test_harness::{
    Answer, Stack,
    binaries::binary,
    stack::{KEY, SOON},
    until,
};
use serde_json::json;

const CONTACT: &str = "6281234567890";

/// Whether it exited with 0, and what it printed.
pub async fn kurir(stack: &Stack, arguments: &[&str]) -> (bool, String) {
    let mut kurir = tokio::process::Command::new(binary("kurir"));
    kurir.args(arguments).env_clear().env("API_KEY", KEY).env("KURIR_URL", stack.api.url(""));
    let output = kurir.output().await.unwrap();
    let says = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), says.into_owned())
}

pub async fn succeeds(stack: &Stack, arguments: &[&str]) -> String {
    let (is_success, says) = kurir(stack, arguments).await;
    assert!(is_success, "{arguments:?}: {says}");
    says
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_files_are_sent_and_jobs_are_managed() {
    let stack = Stack::start().await;
    let sent = succeeds(&stack, &["send", CONTACT, "from a terminal"]).await;
    assert!(sent.starts_with("Message sent successfully (3EB0"), "{sent}");
    stack.simulator.contact_receives(CONTACT, "the text", SOON, |got| got["text"] == "from a terminal").await;
    let folder = tempfile::TempDir::new().unwrap();
    let (picture, bill) = (folder.path().join("picture.gif"), folder.path().join("bill.pdf"));
    std::fs::write(&picture, b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;")
        .unwrap();
    std::fs::write(&bill, b"%PDF-1.4\n%%EOF\n").unwrap();
    succeeds(&stack, &["send", CONTACT, "the bill", "--file", bill.to_str().unwrap()]).await;
    let got = stack
        .simulator
        .contact_receives(CONTACT, "the bill", SOON, |got| got["type"] == "document" && got["fileName"] == "bill.pdf")
        .await;
    assert_eq!(got["caption"], "the bill", "{got}");
    let (is_success, says) = kurir(&stack, &["send", CONTACT, "--file", "/nowhere/bill.pdf"]).await;
    assert!(!is_success && says.contains("failed to read /nowhere/bill.pdf"), "{says}");
    let (is_success, says) = kurir(&stack, &["send", CONTACT]).await;
    assert!(!is_success, "neither a text nor a file: {says}");

    let later = time::OffsetDateTime::now_utc() + time::Duration::days(20);
    let later = later.format(&time::format_description::well_known::Rfc3339).unwrap();
    let body = json!({"name": "newsletter", "sendAt": later, "messages": [{"to": CONTACT, "message": "never"}]});
    let (status, job) = stack.api.post("/api/whatsapp/jobs", body).await;
    assert!((200..300).contains(&status), "{job}");
    let id = job["data"]["id"].as_str().unwrap();
    let list = succeeds(&stack, &["jobs"]).await;
    assert!(list.contains(id) && list.contains("newsletter") && list.contains("scheduled"), "{list}");
    let shown = succeeds(&stack, &["jobs", "show", id]).await;
    assert!(shown.starts_with(&format!("{id} scheduled: 0 of 1 sent, 0 failed")), "{shown}");
    succeeds(&stack, &["jobs", "cancel", id]).await;
    let shown = succeeds(&stack, &["jobs", "show", id, "--json"]).await;
    assert!(shown.contains("cancelled"), "{shown}");
    assert!(!kurir(&stack, &["jobs", "cancel", "job_none"]).await.0);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_made_stopped_started_and_deleted() {
    let stack = Stack::plan().unpaired().start().await;
    let made = succeeds(&stack, &["sessions", "create", "sales", "--name", "Sales"]).await;
    assert!(made.starts_with("sales: running"), "{made}");
    until("a QR code", SOON, || async {
        let (is_success, says) = kurir(&stack, &["qr", "--session", "sales"]).await;
        if is_success && says.contains('▀') { Ok(()) } else { Err(says) }
    })
    .await;
    let list = succeeds(&stack, &["sessions"]).await;
    assert!(list.contains("sales") && list.contains("pairing"), "{list}");
    assert!(succeeds(&stack, &["sessions", "stop", "sales"]).await.starts_with("sales: stopped"));
    assert!(succeeds(&stack, &["sessions", "start", "sales"]).await.starts_with("sales: running"));
    let deleted = succeeds(&stack, &["sessions", "delete", "sales"]).await;
    assert!(deleted.starts_with("sales: logged out"), "{deleted}");
    let (is_success, says) = kurir(&stack, &["sessions", "create", "NOT AN ID"]).await;
    assert!(!is_success && says.contains("id is required"), "{says}");
    let (is_success, says) = kurir(&stack, &["status", "--session", "none"]).await;
    assert!(!is_success && says.contains("not found"), "{says}");
    assert!(kurir(&stack, &["status"]).await.1.starts_with("WhatsApp: pairing"));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_delivered_is_found_and_delivered_again() {
    let stack = Stack::start().await;
    stack.settled().await;
    stack.receiver.always(Answer::status(400));
    stack.simulator.contact_writes(CONTACT, "refused").await;
    let letters = until("a dead letter", SOON, || async {
        let says = succeeds(&stack, &["dead-letters"]).await;
        if says.contains("message.received") { Ok(says) } else { Err(says) }
    })
    .await;
    assert!(letters.starts_with("ID") && letters.contains("default"), "{letters}");
    let ledger = succeeds(&stack, &["ledger"]).await;
    assert!(ledger.starts_with("default: ") && ledger.contains(" 0 missing"), "{ledger}");
    let before = stack.receiver.count();
    stack.receiver.always(Answer::status(200));
    let replayed = succeeds(&stack, &["replay", "dead-letters"]).await;
    assert!(replayed.contains(" to default: done, 0 of "), "{replayed}");
    assert!(stack.receiver.count() > before);
    webhook(&stack.receiver, "the message", |body| text(body) == "refused").await;
    let list = succeeds(&stack, &["replay", "list"]).await;
    assert!(list.contains("rep_") && list.contains("done"), "{list}");
    let all = succeeds(&stack, &["replay", "since", "2026-01-01T00:00:00Z"]).await;
    assert!(all.contains("done"), "{all}");
    let begun = succeeds(&stack, &["replay", "--no-wait", "since", "2026-01-01T00:00:00Z", "--json"]).await;
    assert!(begun.contains("rep_"), "{begun}");
    let (is_success, says) = kurir(&stack, &["replay", "since", "yesterday"]).await;
    assert!(!is_success && !says.is_empty(), "{says}");
    assert!(!kurir(&stack, &["ledger", "ep_none"]).await.0);
    stack.finish().await;
}
