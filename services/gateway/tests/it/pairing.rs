//! A session is paired once, by QR code or by pairing code, and survives restarts.

use crate::world::{SOON, World};
use kurir_contract::command::{Command, CommandErrorCode, PairingCode, PairingCodeRequest};
use kurir_test_harness::until;
use serde_json::json;

#[tokio::test]
async fn a_scanned_qr_code_connects_and_every_restart_after_it_needs_none() {
    let mut world = World::unpaired(&[]).await;
    let code = world.qr(None).await;
    let shown = world.event("connection.status", |data| data["qrCode"] == code.as_str()).await;
    assert_eq!(shown.body["data"]["isConnected"], false);
    assert_eq!(shown.body["data"]["status"], "pairing");
    assert_eq!(shown.subject, "whatsapp.events.default.connection.status");
    world.gateway.wait_for_line(|line| line.contains("Scan this with WhatsApp"), SOON).await;

    world.simulator.scan(&code).await;
    let status = world.is("connected").await;
    assert!(status.is_connected && status.qr_code.is_none());
    assert_eq!(status.session_path, "./sessions");
    assert!(status.jid.is_some() && status.lid.is_some(), "{status:?}");
    let connected = world.event("connection.status", |data| data["isConnected"] == true).await;
    assert_eq!(connected.body["data"]["qrCode"], json!(null));

    world.gateway.restart().await;
    world.gateway.wait_ready(SOON).await;
    world.is("connected").await;
    world.gateway.kill_9().await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    world.is("connected").await;
    let codes = world.events_of("connection.status").await;
    let codes = codes.iter().filter(|event| event.body["data"]["qrCode"].is_string()).count();
    assert_eq!(codes, 1, "a restart showed a code");
    world.finish().await;
}

#[tokio::test]
async fn a_typed_pairing_code_connects_too() {
    let world = World::unpaired(&[]).await;
    world.qr(None).await;
    let number = "6281230001111";
    let ask = || async {
        let request = PairingCodeRequest { phone_number: format!("+{number}") };
        world.ask::<PairingCode>(Command::PairingCode, request).await
    };
    let first = ask().await.expect("a code");
    // A second request gets a new code, and the first code no longer works.
    let code = ask().await.expect("another code");
    assert_ne!(first.code, code.code);
    assert_eq!((code.code.len(), code.expires_in_seconds), (8, 180));
    world.simulator.post("/admin/mock-phone/enter-code", json!({"number": number, "code": code.code})).await;
    world.is("connected").await;
    let refused = ask().await.expect_err("it is paired");
    assert_eq!(refused.code, CommandErrorCode::Conflict);
    world.finish().await;
}

#[tokio::test]
async fn when_all_codes_are_used_up_new_ones_come() {
    let world = World::unpaired(&[]).await;
    let first = world.qr(None).await;
    world.simulator.post("/admin/mock-phone/expire-qr", json!({})).await;
    let second = world.qr(Some(&first)).await;
    world.simulator.scan(&second).await;
    world.is("connected").await;
    world.finish().await;
}

#[tokio::test]
async fn a_number_that_cannot_be_is_refused_a_pairing_code() {
    let world = World::unpaired(&[]).await;
    world.qr(None).await;
    for number in ["", "12", "0812345678"] {
        let request = PairingCodeRequest { phone_number: number.to_owned() };
        let refused = world.ask::<PairingCode>(Command::PairingCode, request).await.expect_err("no number");
        assert_eq!(refused.code, CommandErrorCode::InvalidRequest, "{number:?}: {refused:?}");
    }
    world.finish().await;
}

#[tokio::test]
async fn two_gateways_never_use_one_folder() {
    let world = World::unpaired(&[]).await;
    let folder = world.gateway.folder().join("sessions");
    let settings = [
        ("NATS_URL", world.nats.url()),
        ("WHATSAPP_URL", world.simulator.websocket_url()),
        ("WHATSAPP_SESSION_PATH", folder.display().to_string()),
        ("LOG_FILE", String::new()),
    ];
    let binary = env!("CARGO_BIN_EXE_kurir-gateway-for-simulator");
    let mut second = kurir_test_harness::Process::spawn("second gateway", binary, settings);
    let status = second.exited(SOON).await;
    assert_eq!(status.code(), Some(1));
    assert!(second.output().contains("another gateway uses"), "{}", second.output());
    until("the first to go on", SOON, || async { world.status().await.qr_code }).await;
    world.finish().await;
}

#[tokio::test]
async fn bad_settings_are_all_named_at_once() {
    let settings = [("WHATSAPP_URL", "http://x"), ("BROKER_WAIT", "0s"), ("LOG_FILE", "")];
    let binary = env!("CARGO_BIN_EXE_kurir-gateway-for-simulator");
    let mut gateway = kurir_test_harness::Process::spawn("gateway", binary, settings);
    let status = gateway.exited(SOON).await;
    let said = gateway.output();
    assert_eq!(status.code(), Some(64), "{said}");
    assert!(said.contains("bad setting WHATSAPP_URL") && said.contains("bad setting BROKER_WAIT"), "{said}");
}
