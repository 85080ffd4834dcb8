//! Pairing by QR code and by code; a paired session survives every kind of restart.

use crate::expect::{assert_iso, webhook};
use kurir_test_harness::{Stack, stack::SOON, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_qr_code_reaches_the_webhook_and_scanning_it_connects() {
    let stack = Stack::plan().unpaired().start().await;
    let with_code = webhook(&stack.receiver, "connection.status with a QR code", |body| {
        body["event"] == "connection.status" && body["data"]["qrCode"].is_string()
    })
    .await
    .json();
    assert_eq!(with_code["data"]["isConnected"], false);
    assert_iso(&with_code["data"]["timestamp"]);
    assert_iso(&with_code["timestamp"]);

    let (status, shown) = stack.api.get("/api/whatsapp/qr").await;
    assert_eq!((status, &shown["success"]), (200, &json!(true)));
    let code = shown["qrCode"].as_str().unwrap();
    // The webhook may be quicker than the drawing.
    until("a picture of the code in the terminal", SOON, || async {
        let picture = stack.gateway.output();
        if picture.contains('█') || picture.contains('▀') { Ok(()) } else { Err(picture) }
    })
    .await;

    stack.simulator.scan(code).await;
    let connected = webhook(&stack.receiver, "connection.status connected", |body| {
        body["event"] == "connection.status" && body["data"]["isConnected"] == true
    })
    .await
    .json();
    assert_eq!(connected["data"]["qrCode"], json!(null));
    assert_eq!(
        stack.api.get("/api/whatsapp/qr").await.1,
        json!({"success": false, "message": "WhatsApp is already connected"})
    );
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_typed_on_the_phone_connects() {
    let stack = Stack::plan().unpaired().start().await;
    until("a pairing code", SOON, || async {
        let answer = stack.api.post("/api/whatsapp/pairing-code", json!({"phoneNumber": "15550100001"})).await;
        match answer.1["data"]["code"].as_str() {
            Some(code) => {
                let typed = json!({"number": "15550100001", "code": code});
                stack.simulator.post("/admin/mock-phone/enter-code", typed).await;
                Ok(())
            }
            None => Err(answer),
        }
    })
    .await;
    stack.connected(SOON).await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_needs_no_new_qr_code() {
    let mut stack = Stack::start().await;
    stack.receiver.forget();

    stack.gateway.restart().await;
    stack.gateway.wait_ready(SOON).await;
    stack.connected(SOON).await;
    stack.gateway.kill_9().await;
    stack.gateway.start_again();
    stack.gateway.wait_ready(SOON).await;
    stack.connected(SOON).await;

    stack.simulator.contact_writes("6281234567890", "after two restarts").await;
    webhook(&stack.receiver, "the message", |body| body["event"] == "message.received").await;
    let codes = stack.receiver.requests().iter().filter(|r| r.json()["data"]["qrCode"].is_string()).count();
    assert_eq!(codes, 0, "a paired session asked for a new pairing");
    stack.finish().await;
}
