//! `kurir webhook`: checks the webhook. Each check delivers an event as Kurir delivers every event, and prints the result.

use crate::{
    api_client::{ApiClient, ApiReply},
    commands::WebhookCheck,
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs one check, or all four; true if all succeeded.
pub async fn run_checks(api: &ApiClient, check: Option<WebhookCheck>) -> anyhow::Result<bool> {
    let Some(check) = check else {
        let mut all_succeeded = true;
        for check in WebhookCheck::ALL {
            all_succeeded &= run_check(api, check).await?;
        }
        return Ok(all_succeeded);
    };
    run_check(api, check).await
}

async fn run_check(api: &ApiClient, check: WebhookCheck) -> anyhow::Result<bool> {
    match check {
        WebhookCheck::Status => show_status(api).await,
        WebhookCheck::Test => {
            let body = json!({"eventType": "test", "data": {"message": "A test from the command line"}});
            Ok(print_result("test", &api.post("/api/webhook/test", &body).await?))
        }
        WebhookCheck::Custom => {
            let data = json!({"message": "A custom event from the command line", "orderId": 12345});
            let body = json!({"eventType": "custom.event", "data": data});
            Ok(print_result("custom", &api.post("/api/webhook/send", &body).await?))
        }
        WebhookCheck::Message => {
            let body = json!({"eventType": "message.received", "data": sample_message()});
            Ok(print_result("message", &api.post("/api/webhook/send", &body).await?))
        }
    }
}

async fn show_status(api: &ApiClient) -> anyhow::Result<bool> {
    let reply = api.get("/api/webhook/status").await?;
    if !reply.succeeded() {
        println!("webhook status: {}", reply.message());
        return Ok(false);
    }
    let enabled = reply.body["data"]["enabled"] == true;
    match reply.body["data"]["webhookUrl"].as_str() {
        Some(url) if enabled => println!("webhook status: enabled, events go to {url}"),
        _ => println!("webhook status: disabled: set WEBHOOK_URL for the API and the dispatcher, and restart both"),
    }
    Ok(enabled)
}

/// Prints the result of a delivery; true if it succeeded.
fn print_result(check: &str, reply: &ApiReply) -> bool {
    if !reply.succeeded() {
        println!("webhook {check}: {}", reply.message());
        return false;
    }
    let Some(result) = reply.body.get("result") else {
        println!("webhook {check}: not delivered: webhooks are disabled (the event is in NATS)");
        return false;
    };
    let delivered = result["success"] == true;
    if delivered {
        println!(
            "webhook {check}: delivered, the receiver answered {} (attempt {})",
            result["status"], result["attempt"]
        );
    } else {
        println!("webhook {check}: not delivered: {}", result["error"].as_str().unwrap_or("no reason was given"));
    }
    delivered
}

/// `data` of a `message.received`. Its texts and its id show that it is a test.
fn sample_message() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let chat = "6281234567890@s.whatsapp.net";
    json!({
        "messageId": format!("TEST{now}"),
        "from": chat,
        "timestamp": now,
        "messageType": "text",
        "content": {"text": "A sample message from the command line"},
        "sender": {"jid": chat, "pushName": "Kurir test"},
    })
}
