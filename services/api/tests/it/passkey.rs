//! Pairing by passkey, as it reaches the gateway and as its refusals come back.

use crate::{
    api::Api,
    stand_in::{Gateway, status},
};
use kurir_contract::command::Command;
use kurir_test_harness::Nats;
use serde_json::{Value, json};

const PASSKEY: &str = "/api/whatsapp/passkey";

fn requested() -> Value {
    json!({
        "state": "requested", "options": {"challenge": "YWJj"}, "code": null, "error": null,
        "until": "2026-11-24T13:00:00.000Z", "whatToDo": "sign",
    })
}

fn replies(command: Command, _: &Value) -> Option<Value> {
    let refusal = |code: &str| json!({"error": {"code": code, "message": "the gateway's text", "whatsapp_code": null}});
    Some(match command {
        Command::Status => status("pairing", false, None),
        Command::Passkey => json!({"ok": requested()}),
        Command::AnswerPasskey => refusal("invalid_request"),
        Command::ConfirmPasskey => refusal("conflict"),
        other => panic!("nobody asked for {other}"),
    })
}

#[tokio::test]
async fn each_route_asks_the_gateway_and_says_what_it_said() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", replies).await;
    assert_eq!(api.get(PASSKEY).await, (200, json!({"success": true, "data": requested()})));
    let credential = json!({"id": "AAAA", "response": {"signature": "AAAA"}});
    let refused = |code: &str| json!({"success": false, "message": "the gateway's text", "code": code});
    let answered = api.post(&format!("{PASSKEY}/response"), &credential).await;
    assert_eq!(answered, (400, refused("invalid_request")));
    let confirmed = api.post(&format!("{PASSKEY}/confirm"), &json!({})).await;
    assert_eq!(confirmed, (409, refused("conflict")));
    let commands = [
        (Command::Passkey, json!({})),
        (Command::AnswerPasskey, json!({"credential": credential})),
        (Command::ConfirmPasskey, json!({})),
    ];
    assert_eq!(gateway.commands(), commands);
}

#[tokio::test]
async fn another_session_has_its_own_passkey() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "sales", |command, _| {
        Some(if command == Command::Status { status("pairing", false, None) } else { json!({"ok": requested()}) })
    })
    .await;
    let base = "/api/sessions/sales/whatsapp/passkey";
    assert_eq!(api.get(base).await.0, 200);
    let answered = api.post(&format!("{base}/response"), &json!({"id": "AAAA"})).await;
    assert_eq!((answered.0, &answered.1["message"]), (200, &json!("Passkey answered")));
    let confirmed = api.post(&format!("{base}/confirm"), &json!({})).await;
    assert_eq!((confirmed.0, &confirmed.1["message"]), (200, &json!("Passkey confirmed")));
    assert_eq!(gateway.commands().len(), 3);
}
