//! Commands about one WhatsApp session: show its state, show its QR code, send a text or a file.

use crate::{
    api_client::{ApiClient, ApiReply},
    commands::{FileKind, SessionChoice},
};
use anyhow::Context as _;
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use reqwest::multipart::{Form, Part};
use serde_json::json;
use std::path::Path;

/// Prints the session's state; true if it is connected.
pub async fn show_status(api: &ApiClient, session: &SessionChoice) -> anyhow::Result<bool> {
    let reply = api.get(&session.path("status")).await?;
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
pub async fn show_qr_code(api: &ApiClient, session: &SessionChoice) -> anyhow::Result<bool> {
    let reply = api.get(&session.path("qr")).await?;
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
pub async fn send_text(api: &ApiClient, session: &SessionChoice, to: &str, text: &str) -> anyhow::Result<bool> {
    let reply = api.post(&session.path("send-message"), &json!({"to": to, "message": text})).await?;
    Ok(print_sent(&reply))
}

/// Sends a file and prints the result; true if it was sent.
pub async fn send_file(
    api: &ApiClient,
    session: &SessionChoice,
    to: &str,
    (file, kind, caption): (&Path, Option<FileKind>, Option<&str>),
) -> anyhow::Result<bool> {
    let part = Part::file(file).await.with_context(|| format!("failed to read {}", file.display()))?;
    let kind = match kind.unwrap_or_else(|| kind_of(file)) {
        FileKind::Image => "image",
        FileKind::Video => "video",
        FileKind::Audio => "audio",
        FileKind::Document => "document",
    };
    let form = Form::new().text("to", to.to_owned()).text("mediaType", kind);
    let form = caption.into_iter().fold(form, |form, caption| form.text("caption", caption.to_owned()));
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let reply = api.post_form(&session.path("send-media"), form.text("fileName", name).part("media", part)).await?;
    Ok(print_sent(&reply))
}

/// By the ending of its name; what no app shows is a document.
fn kind_of(file: &Path) -> FileKind {
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "jpg" | "jpeg" | "png" | "webp" => FileKind::Image,
        "mp4" | "3gp" => FileKind::Video,
        "mp3" | "m4a" | "aac" | "ogg" | "opus" | "amr" => FileKind::Audio,
        _ => FileKind::Document,
    }
}

fn print_sent(reply: &ApiReply) -> bool {
    match reply.body["messageId"].as_str().filter(|_| reply.succeeded()) {
        Some(id) => println!("{} ({id})", reply.message()),
        None if reply.succeeded() => println!("{}", reply.message()),
        None => println!("not sent: {}", reply.message()),
    }
    reply.succeeded()
}

/// Draws two modules per character, light on dark as a terminal is. Phones can read that.
fn draw_qr_code(code: &str) -> anyhow::Result<String> {
    let code = QrCode::with_error_correction_level(code, EcLevel::L).context("failed to draw the QR code")?;
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}
