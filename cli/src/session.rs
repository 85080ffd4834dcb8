//! The WhatsApp session from the terminal: its state, its QR code, a message.

use crate::api::Api;
use anyhow::Context as _;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde_json::json;

pub async fn status(api: &Api) -> anyhow::Result<bool> {
    let reply = api.get("/api/whatsapp/status").await?;
    if !reply.succeeded() {
        println!("WhatsApp: {}", reply.message());
        return Ok(false);
    }
    let session = &reply.body["data"];
    print!("WhatsApp: {}", session["status"].as_str().unwrap_or("unknown").replace('_', " "));
    for (what, field) in [("as", "jid"), ("until", "until")] {
        if let Some(text) = session[field].as_str() {
            print!(" {what} {text}");
        }
    }
    println!("{}", session["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default());
    if session["qrCode"].is_string() {
        println!("A QR code waits to be scanned: `kurir qr` shows it.");
    }
    Ok(session["isConnected"] == true)
}

pub async fn qr(api: &Api) -> anyhow::Result<bool> {
    let reply = api.get("/api/whatsapp/qr").await?;
    let code = reply.body["qrCode"].as_str().filter(|_| reply.succeeded());
    match code {
        Some(code) => {
            println!("{}", picture(code)?);
            println!("Scan it within 20 s with WhatsApp on the phone: Settings, Linked devices.");
        }
        None => println!("{}", reply.message()),
    }
    Ok(code.is_some())
}

pub async fn send(api: &Api, to: &str, text: &str) -> anyhow::Result<bool> {
    let reply = api.post("/api/whatsapp/send-message", &json!({"to": to, "message": text})).await?;
    match reply.body["messageId"].as_str().filter(|_| reply.succeeded()) {
        Some(id) => println!("{} ({id})", reply.message()),
        None => println!("not sent: {}", reply.message()),
    }
    Ok(reply.succeeded())
}

/// Two modules per character, light on dark as a terminal is: phones read that, too.
fn picture(code: &str) -> anyhow::Result<String> {
    let code = QrCode::with_error_correction_level(code, EcLevel::L).context("failed to draw the QR code")?;
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}
