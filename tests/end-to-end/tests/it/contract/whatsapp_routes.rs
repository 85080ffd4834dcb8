//! Section "WhatsApp routes".

use kurir_test_harness::{
    Stack,
    stack::{KEY, SOON},
    until,
};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use super::{assert_fits, check, no, row};

const SEND: &str = "POST /api/whatsapp/send-message";
const BULK: &str = "POST /api/whatsapp/send-bulk";
const TO: &str = "6281234567890";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_shown_and_ended() {
    let stack = Stack::plan().unpaired().start().await;
    let qr = "GET /api/whatsapp/qr";
    // Before the first code there is none, which the contract has a text for, too.
    until("a QR code", SOON, || async {
        let (_, status) = stack.api.get("/api/whatsapp/status").await;
        if status["data"]["qrCode"].is_string() { Ok(()) } else { Err(status) }
    })
    .await;
    check(&stack, [row(qr, json!(null), 200, json!({"success": true, "qrCode": "<text>"}))]).await;
    let pairing =
        json!({"success": true, "data": {"isConnected": false, "qrCode": "<text>", "sessionPath": "sessions"}});
    check(
        &stack,
        [
            row("GET /api/whatsapp/status", json!(null), 200, pairing),
            no(SEND, json!({"to": TO, "message": "x"}), 503, "WhatsApp is not connected"),
            row(
                "POST /api/whatsapp/logout",
                json!({}),
                200,
                json!({"success": false, "message": "No active session found"}),
            ),
        ],
    )
    .await;
    let (_, status) = stack.api.get("/api/whatsapp/status").await;
    stack.simulator.scan(status["data"]["qrCode"].as_str().unwrap()).await;
    stack.connected(SOON).await;
    let connected = json!({"success": true, "data": {"isConnected": true, "qrCode": null}});
    check(
        &stack,
        [
            row("GET /api/whatsapp/status", json!(null), 200, connected),
            row(qr, json!(null), 200, json!({"success": false, "message": "WhatsApp is already connected"})),
            row(
                "POST /api/whatsapp/logout",
                json!({}),
                200,
                json!({"success": true, "message": "Logged out successfully"}),
            ),
            no(SEND, json!({"to": TO, "message": "x"}), 503, "WhatsApp is not connected"),
        ],
    )
    .await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_sent_or_refused_with_its_text() {
    let stack = Stack::start().await;
    let sent = json!({"success": true, "messageId": "<text>", "message": "Message sent successfully"});
    let many = |count| vec![json!({"to": TO, "message": "x"}); count];
    check(
        &stack,
        [
            row(SEND, json!({"to": "+62 812-3456-7890", "message": " Hello "}), 200, sent.clone()),
            row(SEND, json!({"to": format!("{TO}@s.whatsapp.net"), "message": "x".repeat(4096)}), 200, sent.clone()),
            row(SEND, json!({"to": TO, "message": "x", "options": {"quoted": "3EB0AA"}}), 200, sent.clone()),
            row(SEND, json!({"to": TO, "message": "x", "options": {"quoted": {"key": {"id": "3EB0AA"}}}}), 200, sent),
            no(SEND, json!({"message": "x"}), 400, "Phone number is required"),
            no(SEND, json!({"to": "123", "message": "x"}), 400, "Invalid phone number format"),
            no(SEND, json!({"to": "1234567890123456", "message": "x"}), 400, "Invalid phone number format"),
            row(
                SEND,
                json!({"to": "081234567890", "message": "x"}),
                400,
                json!({"success": false, "message": "<text>"}),
            ),
            no(SEND, json!({"to": TO}), 400, "Message is required and must be a string"),
            no(SEND, json!({"to": TO, "message": 7}), 400, "Message is required and must be a string"),
            no(SEND, json!({"to": TO, "message": "  "}), 400, "Message is required and must be a string"),
            no(SEND, json!({"to": TO, "message": "x".repeat(4097)}), 400, "Message is too long (max 4096 characters)"),
            no(BULK, json!({}), 400, "Messages must be an array"),
            no(BULK, json!({"messages": []}), 400, "Messages array cannot be empty"),
            no(BULK, json!({"messages": many(101)}), 400, "Too many messages. Maximum 100 messages per bulk request"),
            no(
                BULK,
                json!({"messages": [{"to": TO, "message": "x"}, {"to": TO}]}),
                400,
                "Message at index 1 is missing required fields: to, message",
            ),
            no(BULK, json!({"messages": [{"to": "12", "message": "x"}]}), 400, "Invalid phone number format"),
        ],
    )
    .await;
    stack.simulator.patch("/contacts/6289999999999", json!({"registered": false})).await;
    let results = json!([
        {"to": format!("{TO}@s.whatsapp.net"), "success": true, "messageId": "<text>"},
        {"to": "6289999999999", "success": false, "error": "<text>"},
    ]);
    let summary = json!({"total": 2, "success": 1, "failed": 1});
    let both = json!({"messages": [{"to": TO, "message": "one"}, {"to": "6289999999999", "message": "two"}]});
    let processed =
        json!({"success": true, "message": "Bulk messages processed", "summary": summary, "results": results});
    check(&stack, [row(BULK, both, 200, processed)]).await;
    stack.simulator.contact_receives(TO, "the trimmed text", SOON, |message| message["text"] == "Hello").await;
    stack.finish().await;
}

/// A `send-media` as a form sends it.
async fn send_media(
    stack: &Stack,
    fields: &[(&'static str, &'static str)],
    file: Option<(&'static str, Vec<u8>)>,
) -> (u16, Value) {
    let mut form = Form::new();
    for (name, value) in fields {
        form = form.text(*name, *value);
    }
    if let Some((mime, bytes)) = file {
        let part = Part::bytes(bytes).file_name("holiday.bin");
        form = form.part("media", if mime.is_empty() { part } else { part.mime_str(mime).unwrap() });
    }
    let request = stack.api.request(Method::POST, "/api/whatsapp/send-media").header("X-API-Key", KEY);
    let response = request.multipart(form).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn media_is_sent_or_refused_with_its_text() {
    let stack = Stack::start().await;
    let file = || Some(("image/png", vec![7; 1000]));
    let too_large = || Some(("image/png", vec![7; 10 * 1024 * 1024 + 1]));
    let sent = json!({"success": true, "messageId": "<text>", "message": "Media message sent successfully"});
    let refused = |message: &str| json!({"success": false, "message": message});
    let kinds = "Invalid media type. Allowed types: image, video, audio, document";
    for (fields, file, status, answer) in [
        (vec![("to", TO), ("mediaType", "image"), ("caption", "a beach")], file(), 200, sent.clone()),
        (vec![("to", TO), ("mediaType", "video")], Some(("video/mp4", vec![1; 9])), 200, sent.clone()),
        (vec![("to", TO), ("mediaType", "audio")], Some(("audio/ogg", vec![1; 9])), 200, sent.clone()),
        (
            vec![("to", TO), ("mediaType", "document"), ("fileName", "bill.pdf")],
            Some(("application/pdf", vec![1; 9])),
            200,
            sent,
        ),
        (vec![("to", TO), ("mediaType", "image")], None, 400, refused("Media file is required")),
        (vec![("to", TO), ("mediaType", "hologram")], file(), 400, refused(kinds)),
        (vec![("mediaType", "image")], file(), 400, refused("Phone number is required")),
        (vec![("to", "12"), ("mediaType", "image")], file(), 400, refused("Invalid phone number format")),
        (
            vec![("to", TO), ("mediaType", "image")],
            too_large(),
            413,
            refused("File size too large. Maximum size: 10MB"),
        ),
    ] {
        let (seen, shown) = send_media(&stack, &fields, file).await;
        assert_eq!(seen, status, "{fields:?}: {shown}");
        assert_fits(&answer, &shown, &format!("{fields:?}"));
    }
    let image = stack.simulator.contact_receives(TO, "the image", SOON, |message| message["type"] == "image").await;
    assert_eq!((&image["caption"], &image["mimetype"]), (&json!("a beach"), &json!("image/png")), "{image}");
    stack.finish().await;
}
