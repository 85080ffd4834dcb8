//! One row for each step of the ceremony, and one for each thing that may be wrong with an answer.

use super::*;
use serde_json::json;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);
const UNTIL: OffsetDateTime = datetime!(2026-11-24 12:10 UTC);

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn request() -> PasskeyChallenge {
    let options = json!({"challenge": b64("challenge"), "allowCredentials": [{"type": "public-key", "id": b64("me")}]});
    PasskeyChallenge::parse(&options.to_string(), NOW).expect("options")
}

fn failed(error: &str) -> PasskeyCeremony {
    PasskeyCeremony::Failed { error: error.to_owned() }
}

#[test]
fn each_step_goes_where_it_should() {
    use PasskeyEffect::{Confirm as SendConfirmation, Nothing, Reconnect};
    let requested = || PasskeyCeremony::Requested(request());
    let code = |skip| PasskeyStep::Code { code: "ABCD-1234".to_owned(), skip };
    let (answered, confirmed) =
        (PasskeyCeremony::Answered { until: UNTIL }, PasskeyCeremony::Confirmed { until: UNTIL });
    let confirm = PasskeyCeremony::Confirm { code: "ABCD-1234".to_owned(), until: UNTIL };
    let asked = || PasskeyStep::Requested(request());
    let broken = || PasskeyStep::Failed("broken".to_owned());
    let again = "WhatsApp asked for the passkey again in the middle";
    let late = "it was not done in time";
    for (passkey, step, expected) in [
        (PasskeyCeremony::None, asked(), (requested(), Nothing)),
        (failed("before"), asked(), (requested(), Nothing)),
        (requested(), asked(), (requested(), Nothing)),
        (requested(), PasskeyStep::Answered, (answered.clone(), Nothing)),
        (answered.clone(), code(false), (confirm.clone(), Nothing)),
        (answered.clone(), code(true), (confirmed.clone(), SendConfirmation)),
        (confirm.clone(), PasskeyStep::Confirmed, (confirmed.clone(), Nothing)),
        // Out of turn.
        (PasskeyCeremony::None, PasskeyStep::Answered, (PasskeyCeremony::None, Nothing)),
        (answered.clone(), PasskeyStep::Answered, (answered.clone(), Nothing)),
        (requested(), code(false), (requested(), Nothing)),
        (answered.clone(), PasskeyStep::Confirmed, (answered.clone(), Nothing)),
        (confirmed.clone(), PasskeyStep::Confirmed, (confirmed.clone(), Nothing)),
        // Never stuck.
        (answered.clone(), asked(), (failed(again), Reconnect)),
        (confirm.clone(), asked(), (failed(again), Reconnect)),
        (PasskeyCeremony::None, broken(), (failed("broken"), Reconnect)),
        (requested(), broken(), (failed("broken"), Reconnect)),
        (answered.clone(), broken(), (failed("broken"), Reconnect)),
        (confirmed.clone(), broken(), (failed("broken"), Reconnect)),
        (failed("before"), broken(), (failed("broken"), Reconnect)),
        (requested(), PasskeyStep::Expired, (failed(late), Reconnect)),
        (answered, PasskeyStep::Expired, (failed(late), Reconnect)),
        (confirm, PasskeyStep::Expired, (failed(late), Reconnect)),
        (confirmed, PasskeyStep::Expired, (failed(late), Reconnect)),
        (failed("before"), PasskeyStep::Expired, (failed("before"), Nothing)),
        (PasskeyCeremony::None, PasskeyStep::Expired, (PasskeyCeremony::None, Nothing)),
    ] {
        assert_eq!(next_step(passkey.clone(), step.clone()), expected, "{passkey:?} and {step:?}");
    }
}

#[test]
fn options_that_are_none_are_refused() {
    assert_eq!(request().until, UNTIL);
    for options in ["", "[]", r#"{"rpId":"web.whatsapp.com"}"#, r#"{"challenge":""}"#] {
        assert!(PasskeyChallenge::parse(options, NOW).is_err(), "{options}");
    }
}

fn credential() -> Value {
    let client_data = json!({"type": "webauthn.get", "challenge": b64("challenge"), "origin": ORIGIN});
    json!({
        "id": b64("me"),
        "rawId": b64("me"),
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "response": {
            "clientDataJSON": b64(client_data.to_string()),
            "authenticatorData": b64([7; 37]),
            "signature": b64("signature"),
            "userHandle": null,
        },
    })
}

#[test]
fn an_answer_becomes_what_whatsapp_web_sends() {
    let assertion = build_assertion(&credential(), &request()).expect("it is right");
    assert_eq!(assertion.credential_id, b"me");
    let sent: Value = serde_json::from_slice(&assertion.assertion_json).expect("JSON");
    let mut expected = credential();
    expected.as_object_mut().expect("an object").remove("authenticatorAttachment");
    assert_eq!(sent, expected);
}

#[test]
fn each_wrong_field_is_named() {
    let with = |pointer: &str, value: Value| {
        let mut credential = credential();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        credential.pointer_mut(parent).expect("a parent")[name] = value;
        credential
    };
    let client_data = |said: Value| with("/response/clientDataJSON", json!(b64(said.to_string())));
    let good = || json!({"type": "webauthn.get", "challenge": b64("challenge"), "origin": ORIGIN});
    let but = |name: &str, value: Value| {
        let mut said = good();
        said[name] = value;
        client_data(said)
    };
    for (credential, expected) in [
        (json!([]), "toJSON()"),
        (with("/response", json!(null)), "`response` must be an object"),
        (with("/type", json!("password")), "`type` must be"),
        (with("/id", json!(null)), "`id` must be base64url"),
        (with("/id", json!("+/=")), "`id` must be base64url"),
        (with("/rawId", json!("AAAA")), "`rawId` must be the same"),
        (with("/response/clientDataJSON", json!("")), "`response.clientDataJSON` must be base64url"),
        (with("/response/clientDataJSON", json!("AAAA")), "`response.clientDataJSON` holds no JSON"),
        (with("/response/authenticatorData", json!("AAAA")), "`response.authenticatorData` is too short"),
        (with("/response/authenticatorData", json!(1)), "`response.authenticatorData` must be base64url"),
        (with("/response/signature", json!({})), "`response.signature` must be base64url"),
        (with("/response/userHandle", json!("ü")), "`response.userHandle` must be base64url"),
        (but("type", json!("webauthn.create")), "webauthn.get"),
        (but("challenge", json!(b64("older"))), "another challenge"),
        (but("origin", json!("https://example.org")), "this one was made on \"https://example.org\""),
        (but("origin", json!(null)), "names no origin"),
    ] {
        let problem = build_assertion(&credential, &request()).expect_err(expected);
        assert!(problem.contains(expected), "{problem}");
    }
    let mut other = credential();
    other["id"] = json!(b64("you"));
    other["rawId"] = json!(b64("you"));
    assert!(build_assertion(&other, &request()).expect_err("not allowed").contains("allowCredentials"));
    let any = PasskeyChallenge { allowed: vec![], ..request() };
    assert!(build_assertion(&other, &any).is_ok(), "any credential may answer");
}
