//! An account that is linked by passkey only, paired over HTTP alone.

use crate::expect::webhook;
use kurir_test_harness::{Stack, stack::SOON, until};
use serde_json::{Value, json};

pub const NUMBER: &str = "15550100001";

/// `data` of `GET /api/whatsapp/passkey` in this state.
pub async fn passkey(stack: &Stack, state: &str) -> Value {
    until(format!("the passkey to be {state}"), SOON, || async {
        let (_, mut body) = stack.api.get("/api/whatsapp/passkey").await;
        if body["data"]["state"] == state { Ok(body["data"].take()) } else { Err(body) }
    })
    .await
}

/// Scans the QR code of an account that is linked by passkey only; gives what the passkey is to sign.
pub async fn scan(stack: &Stack) -> Value {
    let code = until("a QR code", SOON, || async {
        let (_, body) = stack.api.get("/api/whatsapp/qr").await;
        body["qrCode"].as_str().map(str::to_owned).ok_or(body)
    })
    .await;
    stack.simulator.scan(&code).await;
    passkey(stack, "requested").await["options"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_signed_elsewhere_and_the_same_code_connect() {
    let stack = Stack::plan().unpaired().start().await;
    stack.simulator.post("/admin/mock-phone/require-passkey", json!({"number": NUMBER})).await;
    let options = scan(&stack).await;
    let told = webhook(&stack.receiver, "session.passkey requested", |body| {
        body["event"] == "session.passkey" && body["data"]["state"] == "requested"
    })
    .await
    .json();
    assert_eq!(told["data"]["options"], options);

    let elsewhere = json!({"options": options, "origin": "http://127.0.0.1:3000"});
    let elsewhere = stack.simulator.post("/admin/mock-phone/sign-passkey", elsewhere).await;
    let (status, refused) = stack.api.post("/api/whatsapp/passkey/response", elsewhere).await;
    assert_eq!((status, &refused["code"]), (400, &json!("invalid_request")), "{refused}");
    let (status, early) = stack.api.post("/api/whatsapp/passkey/confirm", json!({})).await;
    assert_eq!((status, &early["code"]), (409, &json!("conflict")), "{early}");

    let credential = stack.simulator.post("/admin/mock-phone/sign-passkey", json!({"options": options})).await;
    let (status, answered) = stack.api.post("/api/whatsapp/passkey/response", credential).await;
    assert_eq!((status, &answered["message"]), (200, &json!("Passkey answered")), "{answered}");
    let shown = passkey(&stack, "confirm").await;
    let phone = stack.simulator.get(&format!("/admin/mock-phone/passkey?number={NUMBER}")).await;
    assert_eq!(phone["code"], shown["code"]);
    let (status, confirmed) = stack.api.post("/api/whatsapp/passkey/confirm", json!({})).await;
    assert_eq!((status, &confirmed["message"]), (200, &json!("Passkey confirmed")), "{confirmed}");
    stack.connected(SOON).await;

    stack.simulator.contact_writes("6281234567890", "after the passkey").await;
    webhook(&stack.receiver, "the message", |body| body["event"] == "message.received").await;
    stack.finish().await;
}
