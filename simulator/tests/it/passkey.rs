//! Accounts that are linked by passkey only: the library's own client goes through the whole ceremony, and what
//! is wrong with an answer is refused where it is.

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use whatsapp_rust::{
    pair_code::PairCodeOptions,
    passkey::{Assertion, build_webauthn_assertion_json},
    types::events::Event,
};

use crate::support::{Phone, Setup, Sim};

const NUMBER: &str = "4915112345678";

/// A client whose code was scanned, and what it was asked to sign.
async fn asked(sim: &Sim, trouble: Value) -> (Phone, Value, TempDir) {
    let folder = tempdir().unwrap();
    sim.post("/admin/mock-phone/require-passkey", json!({"number": NUMBER, "trouble": trouble})).await;
    let store = folder.path().join("client.db");
    let phone = Phone::run(sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
    let qr = phone.qr().await;
    let (status, scanned) = sim.raw(&format!("/admin/mock-phone/scan-qr?number={NUMBER}"), qr).await;
    assert_eq!((status, &scanned["device"]), (200, &json!(null)), "{scanned}");
    let options = options(&phone).await;
    (phone, options, folder)
}

async fn options(phone: &Phone) -> Value {
    phone
        .until(|event| match event {
            Event::PairPasskeyRequest(request) => Some(serde_json::from_str(&request.request_options_json).unwrap()),
            _ => None,
        })
        .await
}

async fn sign(sim: &Sim, body: Value) -> Assertion {
    let made = sim.post("/admin/mock-phone/sign-passkey", body).await;
    let decode = |text: &Value| {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        BASE64_URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
    };
    let (id, response) = (decode(&made["rawId"]), &made["response"]);
    let assertion_json = build_webauthn_assertion_json(
        &id,
        &decode(&response["clientDataJSON"]),
        &decode(&response["authenticatorData"]),
        &decode(&response["signature"]),
        None,
    );
    Assertion { assertion_json, credential_id: id }
}

async fn code(phone: &Phone) -> String {
    phone
        .until(|event| match event {
            Event::PairPasskeyConfirmation(confirmation) => Some(confirmation.code.clone()),
            _ => None,
        })
        .await
}

async fn shown(sim: &Sim) -> Value {
    sim.get(&format!("/admin/mock-phone/passkey?number={NUMBER}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_pairs_once_both_sides_show_the_same_code() {
    let sim = Sim::start().await;
    let (phone, options, _folder) = asked(&sim, json!(null)).await;
    assert_eq!(options["rpId"], "web.whatsapp.com");
    assert_eq!(shown(&sim).await, json!({"state": "requested", "code": null}));
    let assertion = sign(&sim, json!({"number": NUMBER, "options": options})).await;
    phone.client.send_passkey_response(assertion).await.unwrap();
    let code = code(&phone).await;
    assert_eq!(shown(&sim).await, json!({"state": "code", "code": code}));
    assert_eq!(sim.get("/accounts").await, json!([]), "nobody compared the codes yet");
    phone.client.send_passkey_confirmation().await.unwrap();
    phone.connected().await;
    assert_eq!(sim.get("/accounts").await[0]["number"], NUMBER);
    assert_eq!(shown(&sim).await["state"], "none");
    sim.text("15550200001", "welcome", json!({})).await;
    phone.until_heard("welcome").await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_code_leads_to_the_passkey_too() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    sim.post("/admin/mock-phone/require-passkey", json!({"number": NUMBER})).await;
    let store = folder.path().join("client.db");
    let phone = Phone::run(&sim, Setup { store: store.to_str().unwrap(), push_name: None }).await;
    phone.qr().await;
    let options_of_code = PairCodeOptions { phone_number: NUMBER.to_owned(), ..Default::default() };
    let typed = phone.client.pair_with_code(options_of_code).await.unwrap();
    sim.post("/admin/mock-phone/enter-code", json!({"number": NUMBER, "code": typed})).await;
    let assertion = sign(&sim, json!({"options": options(&phone).await})).await;
    phone.client.send_passkey_response(assertion).await.unwrap();
    code(&phone).await;
    phone.client.send_passkey_confirmation().await.unwrap();
    phone.connected().await;
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_answer_is_refused() {
    let sim = Sim::start().await;
    let (phone, options, _folder) = asked(&sim, json!(null)).await;
    let mut other = options.clone();
    other["challenge"] = json!("AAAA");
    for body in [json!({"options": other}), json!({"options": options, "origin": "https://example.org"})] {
        let assertion = sign(&sim, body.clone()).await;
        let refused = phone.client.send_passkey_response(assertion).await.unwrap_err();
        assert!(refused.to_string().contains("passkey_prologue iq failed"), "{body}: {refused}");
    }
    let mut assertion = sign(&sim, json!({"options": options})).await;
    let text = String::from_utf8(assertion.assertion_json).unwrap();
    let mut damaged: Value = serde_json::from_str(&text).unwrap();
    damaged["response"]["signature"] = json!("MEUCIQ");
    assertion.assertion_json = damaged.to_string().into_bytes();
    phone.client.send_passkey_response(assertion).await.unwrap_err();
    // What is right is taken after it.
    phone.client.send_passkey_response(sign(&sim, json!({"options": options})).await).await.unwrap();
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_shows_where_it_belongs() {
    let sim = Sim::start().await;
    let (phone, options, _folder) = asked(&sim, json!("expired")).await;
    let assertion = sign(&sim, json!({"options": options})).await;
    phone.client.send_passkey_response(assertion).await.unwrap_err();
    phone.shutdown().await;

    let (phone, options, _folder) = asked(&sim, json!("garbled")).await;
    let assertion = sign(&sim, json!({"options": options})).await;
    phone.client.send_passkey_response(assertion).await.unwrap();
    let in_continuation = |event: &Event| match event {
        Event::PairPasskeyError(error) => Some(error.continuation),
        _ => None,
    };
    assert!(phone.until(in_continuation).await);
    phone.shutdown().await;

    let (phone, options, _folder) = asked(&sim, json!("refuses")).await;
    let assertion = sign(&sim, json!({"options": options})).await;
    phone.client.send_passkey_response(assertion).await.unwrap();
    code(&phone).await;
    phone.client.send_passkey_confirmation().await.unwrap_err();
    assert_eq!(sim.get("/accounts").await, json!([]));
    phone.shutdown().await;

    let path = format!("/admin/mock-phone/require-passkey?number={NUMBER}");
    assert_eq!(sim.call("DELETE", &path, None).await.0, 204);
    let unsigned = sim.call("POST", "/admin/mock-phone/sign-passkey", Some(json!({"options": options}))).await;
    assert_eq!(unsigned.0, 404, "{}", unsigned.1);
    sim.stop().await;
}
