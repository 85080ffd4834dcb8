//! An account that is linked by passkey only: the whole ceremony, and every way in which it ends without a pairing.
//! After each of these a new QR code comes by itself.

use crate::world::{SOON, World};
use kurir_contract::{
    clock,
    command::{
        AnswerPasskey, Command, CommandError, CommandErrorCode, EmptyBody, PairingCode, PairingCodeRequest,
        PasskeyProgress, SessionInfo,
    },
    session::PasskeyState,
};
use kurir_test_harness::until;
use serde_json::{Value, json};
use time::OffsetDateTime;

const NUMBER: &str = "15550100001";
const SIGN: &str = "/admin/mock-phone/sign-passkey";

/// A gateway whose code was scanned for an account that wants its passkey, and the options to sign.
async fn asked(trouble: Value) -> (World, Value) {
    let world = World::unpaired(&[]).await;
    let code = world.qr(None).await;
    let options = scanned(&world, trouble, &code).await;
    (world, options)
}

async fn scanned(world: &World, trouble: Value, code: &str) -> Value {
    world.simulator.post("/admin/mock-phone/require-passkey", json!({"number": NUMBER, "trouble": trouble})).await;
    world.simulator.scan(code).await;
    is(world, PasskeyState::Requested).await.options.expect("there is something to sign")
}

async fn passkey(world: &World) -> PasskeyProgress {
    world.ask(Command::Passkey, EmptyBody {}).await.expect("it is never refused")
}

async fn is(world: &World, state: PasskeyState) -> PasskeyProgress {
    until(format!("the passkey to be {}", state.as_str()), SOON, || async {
        let passkey = passkey(world).await;
        if passkey.state == state { Ok(passkey) } else { Err(passkey) }
    })
    .await
}

async fn sign(world: &World, options: &Value) -> Value {
    world.simulator.post(SIGN, json!({"number": NUMBER, "options": options})).await
}

async fn answer(world: &World, credential: Value) -> Result<PasskeyProgress, CommandError> {
    world.ask(Command::AnswerPasskey, AnswerPasskey { credential }).await
}

async fn confirm(world: &World) -> Result<PasskeyProgress, CommandError> {
    world.ask(Command::ConfirmPasskey, EmptyBody {}).await
}

/// Moves the ceremony on to the code.
async fn compared(world: &World, options: &Value) -> String {
    let answered = answer(world, sign(world, options).await).await.expect("the answer is right");
    assert!(matches!(answered.state, PasskeyState::Answered | PasskeyState::Confirm), "{answered:?}");
    let code = is(world, PasskeyState::Confirm).await.code.expect("a code");
    let phone = world.simulator.get(&format!("/admin/mock-phone/passkey?number={NUMBER}")).await;
    assert_eq!(phone, json!({"state": "code", "code": code}));
    code
}

/// Waits for the new code, which is scanned for an account without a passkey.
async fn pairs_by_qr_code(world: &World) {
    world.simulator.delete(&format!("/admin/mock-phone/require-passkey?number={NUMBER}")).await;
    let code = world.qr(None).await;
    world.simulator.scan(&code).await;
    world.is("connected").await;
    assert_eq!(passkey(world).await.state, PasskeyState::None);
}

#[tokio::test]
async fn a_passkey_and_the_same_code_on_both_sides_connect() {
    let (world, options) = asked(json!(null)).await;
    let until = passkey(&world).await.until.and_then(|until| clock::parse(&until)).expect("a time");
    // The client shows its QR codes for this long, and then closes the connection.
    let left = until - OffsetDateTime::now_utc();
    assert!(left <= time::Duration::seconds(160) && left > time::Duration::seconds(100), "{left}");
    let status = world.status().await;
    assert_eq!((status.status.as_str(), status.qr_code), ("pairing", None));
    assert_eq!(confirm(&world).await.expect_err("no code yet").code, CommandErrorCode::Conflict);
    let request = PairingCodeRequest { phone_number: NUMBER.to_owned() };
    let refused = world.ask::<PairingCode>(Command::PairingCode, request).await.expect_err("it would break this one");
    assert_eq!(refused.code, CommandErrorCode::Conflict);

    let code = compared(&world, &options).await;
    let again = answer(&world, sign(&world, &options).await).await.expect_err("once");
    assert_eq!((again.code, again.message.as_str()), (CommandErrorCode::Conflict, "the passkey was answered already"));
    confirm(&world).await.expect("the codes are the same");
    world.is("connected").await;
    assert_eq!(passkey(&world).await.state, PasskeyState::None);
    assert!(!world.gateway.output().contains(&code), "the log has the code");

    let mut told = Vec::new();
    for event in world.events().await {
        let data = &event.body["data"];
        match event.body["event"].as_str() {
            Some("session.passkey") => told.push(without_chance(data)),
            Some("connection.status") if data["status"] != "connecting" => {
                told.push(json!({"status": data["status"], "qrCode": data["qrCode"].is_string()}));
            }
            _ => {}
        }
    }
    insta::assert_json_snapshot!("passkey", told);
    world.simulator.contact_writes(crate::world::BUDI, "welcome").await;
    world.event("message.received", |data| data["content"]["text"] == "welcome").await;
    world.finish().await;
}

/// An event whose random values and times are replaced by names.
fn without_chance(data: &Value) -> Value {
    let mut data = data.clone();
    for pointer in ["/code", "/until", "/timestamp", "/eventId", "/options/challenge", "/options/allowCredentials/0/id"]
    {
        if let Some(value) = data.pointer_mut(pointer).filter(|value| value.is_string()) {
            *value = json!(format!("[{}]", pointer.rsplit('/').next().unwrap_or_default()));
        }
    }
    data
}

#[tokio::test]
async fn what_is_wrong_with_an_answer_is_said_and_the_request_waits_on() {
    let (world, options) = asked(json!(null)).await;
    let made = sign(&world, &options).await;
    let mut other = options.clone();
    other["challenge"] = json!("AAAA");
    let elsewhere = json!({"number": NUMBER, "options": options, "origin": "https://example.org"});
    let mut unreadable = made.clone();
    unreadable["response"]["signature"] = json!("+");
    for (credential, expected) in [
        (sign(&world, &other).await, "another challenge"),
        (world.simulator.post(SIGN, elsewhere).await, "must be used on https://web.whatsapp.com"),
        (unreadable, "`response.signature`"),
        (json!({}), "`response`"),
    ] {
        let refused = answer(&world, credential).await.expect_err(expected);
        assert_eq!(refused.code, CommandErrorCode::InvalidRequest);
        assert!(refused.message.contains(expected), "{refused:?}");
    }
    assert_eq!(passkey(&world).await.state, PasskeyState::Requested);
    compared(&world, &options).await;
    world.finish().await;
}

#[tokio::test]
async fn an_answer_that_whatsapp_refuses_ends_in_a_new_qr_code() {
    let (world, options) = asked(json!(null)).await;
    let mut forged = sign(&world, &options).await;
    // The counter of another answer: everything is well-formed, but the signature does not match.
    forged["response"]["signature"] = sign(&world, &options).await["response"]["signature"].take();
    let refused = answer(&world, forged).await.expect_err("the signature is of other data");
    assert_eq!(refused.code, CommandErrorCode::RefusedByWhatsapp, "{refused:?}");
    let failed = is(&world, PasskeyState::Failed).await;
    let error = failed.error.expect("a failure says why");
    assert!(error.contains("passkey_prologue"), "{error}");
    let late = answer(&world, sign(&world, &options).await).await.expect_err("it is over");
    assert_eq!(late.code, CommandErrorCode::Conflict);
    assert!(late.message.contains(&error), "{late:?}");

    // The next ceremony starts after the failure, and succeeds.
    let code = world.qr(None).await;
    assert_eq!(passkey(&world).await.state, PasskeyState::Failed, "it stays readable");
    let options = scanned(&world, json!("expired"), &code).await;
    answer(&world, sign(&world, &options).await).await.expect_err("the challenge is over");
    is(&world, PasskeyState::Failed).await;
    let code = world.qr(Some(&code)).await;
    let options = scanned(&world, json!(null), &code).await;
    compared(&world, &options).await;
    confirm(&world).await.expect("the codes are the same");
    world.is("connected").await;
    world.finish().await;
}

#[tokio::test]
async fn a_phone_that_cannot_go_on_or_refuses_ends_in_a_new_qr_code() {
    let (world, options) = asked(json!("garbled")).await;
    answer(&world, sign(&world, &options).await).await.expect("WhatsApp takes it");
    let failed = is(&world, PasskeyState::Failed).await.error.expect("a failure says why");
    assert!(failed.contains("primary ephemeral identity"), "{failed}");
    world.data("session.passkey", |data| data["state"] == "failed" && data["error"].is_string()).await;

    let code = world.qr(None).await;
    let options = scanned(&world, json!("refuses"), &code).await;
    compared(&world, &options).await;
    let refused = confirm(&world).await.expect_err("the phone says no");
    assert_eq!(refused.code, CommandErrorCode::RefusedByWhatsapp);
    is(&world, PasskeyState::Failed).await;
    pairs_by_qr_code(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn a_phone_that_says_nothing_is_left_by_a_restart_or_with_its_connection() {
    let (world, options) = asked(json!("silent")).await;
    answer(&world, sign(&world, &options).await).await.expect("WhatsApp takes it");
    assert_eq!(passkey(&world).await.state, PasskeyState::Answered);
    assert_eq!(confirm(&world).await.expect_err("no code yet").code, CommandErrorCode::Conflict);
    let _: SessionInfo = world.ask(Command::Restart, EmptyBody {}).await.expect("a restart is never refused");
    assert_eq!(passkey(&world).await.state, PasskeyState::None);

    let code = world.qr(None).await;
    let options = scanned(&world, json!("silent"), &code).await;
    answer(&world, sign(&world, &options).await).await.expect("WhatsApp takes it");
    world.simulator.post("/admin/mock-phone/expire-qr", json!({})).await;
    let failed = is(&world, PasskeyState::Failed).await;
    assert_eq!(failed.error.as_deref(), Some("the connection to WhatsApp was lost"));
    pairs_by_qr_code(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn a_gateway_that_starts_again_in_the_middle_shows_a_new_qr_code() {
    let (mut world, options) = asked(json!(null)).await;
    let old = sign(&world, &options).await;
    world.gateway.kill_9().await;
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    let code = world.qr(None).await;
    let refused = answer(&world, old).await.expect_err("nobody asks for it");
    assert_eq!(refused.message, "WhatsApp asks for no passkey; scan the QR code first");
    let options = scanned(&world, json!(null), &code).await;
    compared(&world, &options).await;
    confirm(&world).await.expect("the codes are the same");
    world.is("connected").await;
    world.finish().await;
}
