//! `kurir webhook`: does the webhook work? Each check goes the way of a real event and tells how its delivery ended.

use crate::{
    api::{Api, Reply},
    settings::Check,
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// One check, or all four.
pub async fn check(api: &Api, check: Option<Check>) -> anyhow::Result<bool> {
    let Some(check) = check else {
        let mut all_well = true;
        for check in Check::ALL {
            all_well &= one(api, check).await?;
        }
        return Ok(all_well);
    };
    one(api, check).await
}

async fn one(api: &Api, check: Check) -> anyhow::Result<bool> {
    match check {
        Check::Status => status(api).await,
        Check::Test => {
            let body = json!({"eventType": "test", "data": {"message": "A test from the command line"}});
            Ok(told("test", &api.post("/api/webhook/test", &body).await?))
        }
        Check::Custom => {
            let data = json!({"message": "An event of one's own from the command line", "orderId": 12345});
            let body = json!({"eventType": "custom.event", "data": data});
            Ok(told("custom", &api.post("/api/webhook/send", &body).await?))
        }
        Check::Message => {
            let body = json!({"eventType": "message.received", "data": sample_message()});
            Ok(told("message", &api.post("/api/webhook/send", &body).await?))
        }
    }
}

async fn status(api: &Api) -> anyhow::Result<bool> {
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

/// Prints how the delivery ended; true if it was delivered.
fn told(check: &str, reply: &Reply) -> bool {
    if !reply.succeeded() {
        println!("webhook {check}: {}", reply.message());
        return false;
    }
    let Some(result) = reply.body.get("result") else {
        println!("webhook {check}: delivered to nobody, webhooks are disabled (the event is in NATS)");
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

/// `data` of a `message.received`, marked so that nobody takes it for a real one.
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
