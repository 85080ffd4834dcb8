//! How a client becomes a companion: QR, code, which account, and what goes wrong.

use serde_json::json;
use tempfile::tempdir;
use whatsapp_rust::{pair_code::PairCodeOptions, types::events::Event};
use whatsapp_simulator::Config;

use crate::support::{Phone, Setup, Sim};

const NUMBER: &str = "4915112345678";

async fn code_of(phone: &Phone) -> String {
    phone.qr().await;
    let options = PairCodeOptions { phone_number: NUMBER.to_owned(), ..Default::default() };
    phone.client.pair_with_code(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_entered_on_the_phone_pairs_the_number_it_was_asked_for() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let store = folder.path().join("client.db");
    let phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
    let code = code_of(&phone).await;
    sim.post("/admin/mock-phone/enter-code", json!({"number": NUMBER, "code": code})).await;
    phone.connected().await;
    assert_eq!(sim.get("/accounts").await[0]["number"], NUMBER);
    sim.text("15550200001", "welcome", json!({})).await;
    phone.until_heard("welcome").await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_pairs_nobody_and_a_malformed_one_is_refused() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let store = folder.path().join("client.db");
    let phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
    let enter = async |code: &str| {
        let body = json!({"number": NUMBER, "code": code});
        sim.call("POST", "/admin/mock-phone/enter-code", Some(body)).await
    };
    phone.qr().await;
    assert_eq!(enter("ABCD1234").await.0, 404, "nobody asked for a code");
    let code = code_of(&phone).await;
    assert_eq!(enter("short").await.0, 400);
    let wrong = if code == "ABCD1234" { "ABCD1235" } else { "ABCD1234" };
    assert_eq!(enter(wrong).await.0, 200);
    // The phone cannot tell; the key exchange fails, and the client may say the code again.
    sim.until("/statistics", |statistics| statistics["fromClient"]["iq"].as_u64() >= Some(2)).await;
    assert_eq!(sim.get("/accounts").await, json!([]));
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_push_name_chooses_the_account_and_the_same_one_a_further_device() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let other = tempdir().unwrap();
    let first = Phone::paired(&sim, folder.path(), Some("Anna")).await;
    let second = Phone::paired(&sim, other.path(), Some("Anna")).await;
    let third = Phone::paired(&sim, folder.path(), Some("Ben")).await;
    let accounts = sim.get("/accounts").await;
    let shape: Vec<_> = accounts
        .as_array()
        .unwrap()
        .iter()
        .map(|account| (account["pushName"].as_str().unwrap(), account["devices"].as_array().unwrap().len()))
        .collect();
    assert_eq!(shape, [("Anna", 2), ("Ben", 1)], "{accounts:#}");
    for phone in [first, second, third] {
        phone.shutdown().await;
    }
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_account_takes_every_client() {
    let config = Config { account: Some("6281234567890".parse().unwrap()), ..Config::for_tests() };
    let (sim, folder) = (Sim::with(config).await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), Some("Anybody")).await;
    assert_eq!(sim.get("/accounts").await[0]["number"], "6281234567890");
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_or_used_code_pairs_nobody_and_the_client_shows_another() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let store = folder.path().join("client.db");
    let phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
    let old = phone.qr().await;
    assert_eq!(sim.post("/admin/mock-phone/expire-qr", json!({})).await["clients"], 1);
    assert_eq!(sim.raw("/admin/mock-phone/scan-qr", old.clone()).await.0, 404);
    let fresh = phone
        .until(|event| match event {
            Event::PairingQrCode(qr) if qr.code != old => Some(qr.code.clone()),
            _ => None,
        })
        .await;
    assert_eq!(sim.raw("/admin/mock-phone/scan-qr", fresh.clone()).await.0, 200);
    assert_eq!(sim.raw("/admin/mock-phone/scan-qr", fresh).await.0, 404, "used");
    phone.connected().await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_scans_by_itself_only_if_told_so() {
    for auto in [false, true] {
        let config = Config { auto_scan: auto, ..Config::for_tests() };
        let (sim, folder) = (Sim::with(config).await, tempdir().unwrap());
        let store = folder.path().join("client.db");
        let phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
        let qr = phone.qr().await;
        let (status, _) = sim.raw("/admin/mock-phone/scan-qr?auto=true", qr).await;
        assert_eq!(status, if auto { 200 } else { 202 });
        if auto {
            phone.connected().await;
        } else {
            assert_eq!(sim.get("/accounts").await, json!([]));
        }
        phone.shutdown().await;
        sim.stop().await;
    }
}
