//! Commands about the WhatsApp session: show its state, show its QR code, send a text.

use crate::api_client::ApiClient;
use anyhow::Context as _;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde_json::json;

/// Prints the session's state; true if it is connected.
pub async fn show_status(api: &ApiClient) -> anyhow::Result<bool> {
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
        println!("The session waits for a phone to scan its QR code: `kurir qr` shows it.");
    }
    Ok(session["isConnected"] == true)
}

/// Prints the QR code, or why there is none; true if there is one.
pub async fn show_qr_code(api: &ApiClient) -> anyhow::Result<bool> {
    let reply = api.get("/api/whatsapp/qr").await?;
    let code = reply.body["qrCode"].as_str().filter(|_| reply.succeeded());
    match code {
        Some(code) => {
            println!("{}", draw_qr_code(code)?);
            println!("Scan it within 20 s with WhatsApp on the phone: Settings, Linked devices.");
        }
        None => println!("{}", reply.message()),
    }
    Ok(code.is_some())
}

/// Sends a text and prints the result; true if it was sent.
pub async fn send_text(api: &ApiClient, to: &str, text: &str) -> anyhow::Result<bool> {
    let reply = api.post("/api/whatsapp/send-message", &json!({"to": to, "message": text})).await?;
    match reply.body["messageId"].as_str().filter(|_| reply.succeeded()) {
        Some(id) => println!("{} ({id})", reply.message()),
        None => println!("not sent: {}", reply.message()),
    }
    Ok(reply.succeeded())
}

/// Draws two modules per character, light on dark as a terminal is. Phones can read that.
fn draw_qr_code(code: &str) -> anyhow::Result<String> {
    let code = QrCode::with_error_correction_level(code, EcLevel::L).context("failed to draw the QR code")?;
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}
