//! The header `Idempotency-Key`, and the check of a number, as they reach the gateway and come back.

use crate::{
    api::{Api, KEY, answer},
    stand_in::{Gateway, connected},
};
use kurir_contract::command::Command;
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};

const SEND: &str = "/api/whatsapp/send-message";
const BULK: &str = "/api/whatsapp/send-bulk";
const CHECK: &str = "/api/whatsapp/check-number";
const BUDI: &str = "6281234567890";

async fn post(api: &Api, path: &str, key: &[u8], body: &Value) -> (u16, Value) {
    let key = reqwest::header::HeaderValue::from_bytes(key).expect("a header");
    let request = api.request(Method::POST, path).header("X-API-Key", KEY).header("Idempotency-Key", key);
    answer(request.json(body)).await
}

#[tokio::test]
async fn a_key_goes_along_with_its_send() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", |command, arguments| {
        let sent = json!({"ok": {"messageId": "3EB0AA", "to": arguments["to"], "attempt": 1}});
        Some(if command == Command::Status { connected() } else { sent })
    })
    .await;
    let message = json!({"to": BUDI, "message": "a"});
    assert_eq!(post(&api, SEND, b"order-7", &message).await.0, 200);
    assert_eq!(post(&api, BULK, b"orders", &json!({"messages": [message, message]})).await.0, 200);
    assert_eq!(api.post(SEND, &message).await.0, 200);
    let keys: Vec<_> = gateway.commands().into_iter().map(|(_, said)| said["idempotencyKey"].clone()).collect();
    assert_eq!(keys, [json!("order-7"), json!("orders/0"), json!("orders/1"), Value::Null]);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_and_one_of_another_message_is_a_conflict() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", |command, _| {
        let refusal = json!({"error": {"code": "conflict", "message": "used for another message"}});
        Some(if command == Command::Status { connected() } else { refusal })
    })
    .await;
    let message = json!({"to": BUDI, "message": "a"});
    let long = "x".repeat(256);
    for key in [&b""[..], b"a b", "ü".as_bytes(), long.as_bytes()] {
        let (status, answer) = post(&api, SEND, key, &message).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_idempotency_key")), "{answer}");
        assert_eq!(answer["message"], "Idempotency-Key must be 1 to 255 visible ASCII characters");
    }
    assert_eq!(gateway.asked(), 0);
    let (status, answer) = post(&api, SEND, b"order-7", &message).await;
    assert_eq!((status, &answer["code"]), (409, &json!("conflict")), "{answer}");
}

#[tokio::test]
async fn a_number_is_checked_without_a_send() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let data = json!({"exists": true, "jid": "6281234567890@s.whatsapp.net", "lid": "111111111111111@lid"});
    let reply = json!({"ok": data});
    let gateway = Gateway::start(&nats, "default", move |command, _| {
        Some(if command == Command::Status { connected() } else { reply.clone() })
    })
    .await;
    let checked = api.post(CHECK, &json!({"number": "+62 812-3456-7890"})).await;
    assert_eq!(checked, (200, json!({"success": true, "data": data})));
    let asked = json!({"number": "6281234567890@s.whatsapp.net"});
    assert_eq!(gateway.commands(), [(Command::CheckNumber, asked)]);
    for (body, message) in [
        (json!({}), "Phone number is required"),
        (json!({"number": "12"}), "Invalid phone number format"),
        (json!({"number": "120363000000000001@g.us"}), "Invalid phone number format"),
    ] {
        let (status, answer) = api.post(CHECK, &body).await;
        assert_eq!((status, &answer["message"]), (400, &json!(message)), "{body}");
    }
    assert_eq!(gateway.commands().len(), 1);
}
