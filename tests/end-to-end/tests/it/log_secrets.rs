//! Secrets in the logs: the whole system runs at `trace`, and no line of any service holds what was planted.

use crate::expect::{text, webhook};
use kurir_test_harness::Stack;
use serde_json::json;

const SECRET: &str = "whsec_cGxhbnRlZC1zZWNyZXQtb2YtdGhlLXRlc3Q=";
const TEXT: &str = "the planted text of a message";
const NUMBER: &str = "6281234567890";

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_any_service_holds_a_secret_at_trace() {
    let plan = Stack::plan().gateway("LOG_LEVEL", "trace").gateway("WHATSAPP_LOG_LEVEL", "trace");
    let plan = plan.dispatcher("LOG_LEVEL", "trace").dispatcher("WEBHOOK_SECRET", SECRET).api("LOG_LEVEL", "trace");
    let stack = plan.start().await;
    stack.simulator.contact_sends(NUMBER, json!({"text": TEXT, "pushName": "Budi"})).await;
    webhook(&stack.receiver, "the message", |body| body["event"] == "message.received" && text(body) == TEXT).await;
    let (status, _) = stack.api.post("/api/whatsapp/send-message", json!({"to": NUMBER, "message": TEXT})).await;
    assert_eq!(status, 200);
    let forged = json!({"eventType": "forged", "data": {"a": "\nforged a line"}});
    stack.api.post("/api/webhook/send", forged).await;
    stack.settled().await;
    let outputs: Vec<(String, String)> = [&stack.gateway, &stack.api.process]
        .into_iter()
        .chain(&stack.dispatchers)
        .map(|process| (process.name().to_owned(), process.output()))
        .collect();
    for (name, output) in &outputs {
        // Planted: what would be there if nothing was left out.
        assert!(output.contains("DEBUG"), "{name} logs at a low level");
        for planted in [SECRET, &SECRET[6..], TEXT, NUMBER, kurir_test_harness::stack::KEY, "\nforged a line"] {
            let line = output.lines().find(|line| line.contains(planted));
            assert!(line.is_none(), "{name} logs {planted:?}: {line:?}");
        }
    }
    stack.finish().await;
}
