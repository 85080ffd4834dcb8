//! The contract's section "WhatsApp routes".

use crate::{
    api::{Api, KEY, SOON, events_stored},
    stand_in::{Gateway, connected, status},
};
use kurir_contract::command::Command;
use kurir_test_harness::{Nats, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

const SEND: &str = "/api/whatsapp/send-message";

fn sent() -> Value {
    json!({"ok": {"messageId": "3EB0AA", "to": "6281234567890@s.whatsapp.net", "attempt": 1}})
}

fn refusal(code: &str, whatsapp_code: Option<u16>) -> Value {
    json!({"error": {"code": code, "message": "the gateway's text", "whatsappCode": whatsapp_code, "whatsapp_code": whatsapp_code}})
}

#[tokio::test]
async fn the_status_is_the_gateways() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let _gateway = Gateway::start(&nats, "default", |_, _| Some(status("pairing", false, Some("2@abc")))).await;
    let (code, body) = api.get("/api/whatsapp/status").await;
    assert_eq!((code, &body["success"]), (200, &json!(true)));
    let data = &body["data"];
    assert_eq!(data["isConnected"], false);
    assert_eq!(data["qrCode"], "2@abc");
    assert_eq!(data["sessionPath"], "./sessions");
    assert_eq!(data["status"], "pairing");
}

#[tokio::test]
async fn qr_gives_the_code_or_says_why_there_is_none() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let none = "QR Code not available. Please restart the service.";
    for (reply, success, field, text) in [
        (status("pairing", false, Some("2@abc")), true, "qrCode", "2@abc"),
        (connected(), false, "message", "WhatsApp is already connected"),
        (status("pairing", false, None), false, "message", none),
        (status("reconnecting", false, None), false, "message", none),
        (status("banned", false, None), false, "message", none),
    ] {
        let gateway = Gateway::start(&nats, "default", move |_, _| Some(reply.clone())).await;
        let (code, body) = api.get("/api/whatsapp/qr").await;
        assert_eq!((code, body), (200, json!({"success": success, field: text})));
        assert_eq!(gateway.commands(), []);
    }
}

#[tokio::test]
async fn qr_after_a_logout_begins_a_new_pairing_and_waits_for_its_code() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let asked = AtomicUsize::new(0);
    let gateway = Gateway::start(&nats, "default", move |command, _| {
        Some(match (command, asked.fetch_add(1, Ordering::Relaxed)) {
            (_, 0) => status("logged_out", false, None),
            (_, 1..5) => status("connecting", false, None),
            _ => status("pairing", false, Some("2@new")),
        })
    })
    .await;
    assert_eq!(api.get("/api/whatsapp/qr").await, (200, json!({"success": true, "qrCode": "2@new"})));
    assert_eq!(gateway.commands(), [(Command::Restart, json!({}))]);
}

#[tokio::test]
async fn a_message_is_handed_over_as_the_contract_reads_it() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", |command, _| {
        Some(if command == Command::Status { connected() } else { sent() })
    })
    .await;
    let number = "6281234567890@s.whatsapp.net";
    let emoji = "😀".repeat(2048);
    let mut expected = Vec::new();
    for (body, to, text, quoted) in [
        (json!({"to": "6281234567890", "message": "Hello"}), number, "Hello", None),
        (json!({"to": " +62 812-3456-7890 ", "message": "  Hello\n"}), number, "Hello", None),
        (json!({"to": number, "message": "x", "options": {}}), number, "x", None),
        (
            json!({"to": "120363000000000001@g.us", "message": "x", "options": null}),
            "120363000000000001@g.us",
            "x",
            None,
        ),
        (
            json!({"to": "123456789012345@lid", "message": "x", "options": {"quoted": null}}),
            "123456789012345@lid",
            "x",
            None,
        ),
        (json!({"to": number, "message": "x", "options": {"quoted": "3EB0FF"}}), number, "x", Some("3EB0FF")),
        (
            json!({"to": number, "message": "x", "options": {"quoted": {"key": {"id": "3EB0FF", "fromMe": false}}}}),
            number,
            "x",
            Some("3EB0FF"),
        ),
        (json!({"to": number, "message": emoji}), number, emoji.as_str(), None),
        (json!({"to": number, "message": "ü".repeat(4096)}), number, &"ü".repeat(4096), None),
    ] {
        let (code, answer) = api.post(SEND, &body).await;
        assert_eq!((code, &answer["success"]), (200, &json!(true)), "{body}: {answer}");
        assert_eq!((&answer["messageId"], &answer["message"]), (&json!("3EB0AA"), &json!("Message sent successfully")));
        expected.push((Command::SendText, json!({"to": to, "text": text, "quoted": quoted})));
    }
    assert_eq!(gateway.commands(), expected);
}

#[tokio::test]
async fn bad_input_is_refused_with_its_text_and_reaches_no_gateway() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", |_, _| Some(connected())).await;
    let to = "6281234567890";
    let (required, format) = ("Phone number is required", "Invalid phone number format");
    let (message, long) = ("Message is required and must be a string", "Message is too long (max 4096 characters)");
    let zero = "Invalid phone number format: write the country code instead of the leading 0, for example 6281234567890 for Indonesia";
    let (options, quoted) =
        ("options must be an object", "options.quoted must be a message id or an object with key.id");
    for (body, expected) in [
        (json!({}), required),
        (json!({"message": "x"}), required),
        (json!({"to": "", "message": 7}), required),
        (json!({"to": "  "}), required),
        (json!({"to": null, "message": "x"}), required),
        (json!({"to": "12345"}), format),
        (json!({"to": "1234567890123456", "message": "x"}), format),
        (json!({"to": "a@b", "message": "x"}), format),
        (json!({"to": "status@broadcast", "message": "x"}), format),
        (json!({"to": "081234567890", "message": "x"}), zero),
        (json!({"to": to}), message),
        (json!({"to": to, "message": ""}), message),
        (json!({"to": to, "message": " \n\t"}), message),
        (json!({"to": to, "message": 7}), message),
        (json!({"to": to, "message": {"text": "x"}}), message),
        (json!({"to": to, "message": "x".repeat(4097)}), long),
        (json!({"to": to, "message": "😀".repeat(2049)}), long),
        (json!({"to": to, "message": "x", "options": "x"}), options),
        (json!({"to": to, "message": "x", "options": {"quoted": 7}}), quoted),
        (json!({"to": to, "message": "x", "options": {"quoted": {"key": {}}}}), quoted),
        (json!({"to": to, "message": "x", "options": {"quoted": "x".repeat(200)}}), quoted),
    ] {
        let (code, answer) = api.post(SEND, &body).await;
        assert_eq!((code, &answer["success"]), (400, &json!(false)), "{body}");
        assert_eq!(answer["message"], expected, "{body}");
        assert!(answer["code"].is_string(), "{body}");
    }
    assert_eq!(gateway.asked(), 0);
    assert_eq!(events_stored(&nats).await, 0);
}

#[tokio::test]
async fn each_refusal_of_a_gateway_has_its_status_code_and_text() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let timeout = "Message send timeout after multiple attempts. Please check your connection.";
    for (code, whatsapp_code, expected) in [
        ("not_connected", None, (503, json!("not_connected"), "WhatsApp is not connected")),
        ("not_on_whatsapp", None, (404, json!("not_on_whatsapp"), "the gateway's text")),
        ("refused_by_whatsapp", Some(463), (502, json!("refused_by_whatsapp"), "WhatsApp refused the message")),
        ("timed_out", None, (504, json!("timed_out"), timeout)),
        ("invalid_request", None, (400, json!("invalid_request"), "the gateway's text")),
        ("conflict", None, (409, json!("conflict"), "the gateway's text")),
        ("internal", None, (500, json!("internal"), "the gateway's text")),
    ] {
        let _gateway = Gateway::start(&nats, "default", move |command, _| {
            Some(if command == Command::Status { connected() } else { refusal(code, whatsapp_code) })
        })
        .await;
        let (status, answer) = api.post(SEND, &json!({"to": "6281234567890", "message": "x"})).await;
        let (expected_status, expected_code, message) = expected;
        let mut body = json!({"success": false, "message": message, "code": expected_code});
        if let Some(number) = whatsapp_code {
            body["whatsappCode"] = json!(number);
        }
        assert_eq!((status, answer), (expected_status, body), "{code}");
    }
}

#[tokio::test]
async fn without_a_gateway_whatsapp_is_not_connected_and_another_session_is_not_found() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let body = json!({"to": "6281234567890", "message": "x"});
    let away = json!({"success": false, "message": "WhatsApp is not connected", "code": "gateway_unavailable"});
    assert_eq!(api.post(SEND, &body).await, (503, away.clone()));
    assert_eq!(api.get("/api/whatsapp/status").await, (503, away.clone()));
    assert_eq!(api.get("/api/whatsapp/qr").await, (503, away.clone()));
    assert_eq!(api.post("/api/whatsapp/logout", &json!({})).await, (503, away.clone()));
    assert_eq!(api.get("/api/sessions/default/whatsapp/status").await, (503, away));
    let unknown = json!({"success": false, "message": "Session not found", "code": "session_not_found"});
    assert_eq!(api.post("/api/sessions/sales/whatsapp/send-message", &body).await, (404, unknown));
    for name in ["a.b", "a%20b", "%3E", &"x".repeat(65)] {
        let invalid = json!({"success": false, "message": "Invalid session name", "code": "invalid_session"});
        assert_eq!(api.get(&format!("/api/sessions/{name}/whatsapp/status")).await, (400, invalid), "{name}");
    }
}

#[tokio::test]
async fn a_session_is_asked_by_its_name() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let _default = Gateway::start(&nats, "default", |_, _| Some(connected())).await;
    let _sales = Gateway::start(&nats, "sales", |_, _| Some(status("pairing", false, Some("2@sales")))).await;
    assert_eq!(api.get("/api/sessions/default/whatsapp/status").await.1["data"]["isConnected"], true);
    assert_eq!(api.get("/api/sessions/sales/whatsapp/qr").await.1["qrCode"], "2@sales");
}

#[tokio::test]
async fn a_gateway_that_hangs_is_answered_with_504_and_is_handed_nothing() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", |_, _| None).await;
    assert_eq!(api.get("/api/whatsapp/status").await.0, 504);
    let (status, answer) = api.post(SEND, &json!({"to": "6281234567890", "message": "x"})).await;
    let text = "Message send timeout after multiple attempts. Please check your connection.";
    assert_eq!((status, &answer["message"]), (504, &json!(text)));
    assert_eq!(gateway.commands(), []);
}

#[tokio::test]
async fn logout_says_whether_there_was_a_session() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for (was_paired, message) in [(true, "Logged out successfully"), (false, "No active session found")] {
        let _gateway = Gateway::start(&nats, "default", move |command, _| {
            Some(if command == Command::Status { connected() } else { json!({"ok": {"wasPaired": was_paired}}) })
        })
        .await;
        let (status, answer) = api.post("/api/whatsapp/logout", &json!({})).await;
        assert_eq!((status, answer), (200, json!({"success": was_paired, "message": message})));
    }
}

#[tokio::test]
async fn a_pairing_code_is_made_for_a_number() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", |command, _| {
        let code = json!({"ok": {"code": "ABCD1234", "expiresInSeconds": 180}});
        Some(if command == Command::Status { status("pairing", false, None) } else { code })
    })
    .await;
    let path = "/api/whatsapp/pairing-code";
    let data = json!({"code": "ABCD1234", "expiresInSeconds": 180});
    let made = json!({"success": true, "message": "Pairing code created", "data": data});
    assert_eq!(api.post(path, &json!({"phoneNumber": "+62 812-3456-7890"})).await, (200, made));
    assert_eq!(gateway.commands(), [(Command::PairingCode, json!({"phoneNumber": "6281234567890"}))]);
    for (body, message) in [
        (json!({}), "Phone number is required"),
        (json!({"phoneNumber": "12"}), "Invalid phone number format"),
        (json!({"phoneNumber": "120363000000000001@g.us"}), "Invalid phone number format"),
    ] {
        let (status, answer) = api.post(path, &body).await;
        assert_eq!((status, &answer["message"]), (400, &json!(message)), "{body}");
    }
}

#[tokio::test]
async fn restart_begins_anew_or_says_why_not() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let replies = [status("connecting", false, None), refusal("conflict", None)];
    for (reply, expected) in replies.into_iter().zip([200, 409]) {
        let _gateway = Gateway::start(&nats, "default", move |command, _| {
            Some(if command == Command::Status { connected() } else { reply.clone() })
        })
        .await;
        let (status, answer) = api.post("/api/whatsapp/restart", &json!({})).await;
        assert_eq!((status, &answer["success"]), (expected, &json!(expected == 200)), "{answer}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_its_send_along() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::slow(&nats, "default", Duration::from_secs(1), |command, _| {
        Some(if command == Command::Status { connected() } else { sent() })
    })
    .await;
    let request = api.request(Method::POST, SEND).header("X-API-Key", KEY);
    let call = tokio::spawn(request.json(&json!({"to": "6281234567890", "message": "x"})).send());
    gateway.wait_for_commands(1).await;
    call.abort();
    until("the send to be counted", SOON, || async {
        let (_, body) = api.get("/api/metrics").await;
        if body["data"]["messagesSent"] == 1 { Ok(()) } else { Err(body) }
    })
    .await;
}
