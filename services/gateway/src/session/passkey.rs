//! Pairing by passkey, for accounts that cannot be linked in another way: WhatsApp asks, the user's passkey signs,
//! phone and session show the same code, and the user confirms it.
//!
//! Pure: [`next_step`] moves the ceremony on, [`build_assertion`] checks what a user answers. The client does the rest.
//! A ceremony ends with its connection: every error ends in `Failed`, a new connection and a new QR code.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use kurir_contract::{clock, command, session::PasskeyState};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use whatsapp_rust::passkey::{Assertion, build_webauthn_assertion_json, parse_request_options};

/// How far a ceremony is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PasskeyCeremony {
    #[default]
    None,
    Requested(PasskeyChallenge),
    Answered {
        until: OffsetDateTime,
    },
    Confirm {
        code: String,
        until: OffsetDateTime,
    },
    Confirmed {
        until: OffsetDateTime,
    },
    /// Kept until the next ceremony starts, so that the user learns the reason.
    Failed {
        error: String,
    },
}

/// What WhatsApp asks the account's passkey to sign.
#[derive(Clone, Debug, PartialEq)]
pub struct PasskeyChallenge {
    /// As WhatsApp sent it, for the user's browser.
    pub options: Value,
    challenge: Vec<u8>,
    /// The credentials that may answer. Empty: any.
    allowed: Vec<Vec<u8>>,
    /// The time by which the whole ceremony must be done.
    pub until: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PasskeyStep {
    Requested(PasskeyChallenge),
    /// The answer is sent to WhatsApp.
    Answered,
    /// Both sides know the code. `skip`: WhatsApp wants nobody to compare it.
    Code {
        code: String,
        skip: bool,
    },
    /// The user said that the codes are equal.
    Confirmed,
    Failed(String),
    /// The time is over.
    Expired,
}

/// What the session must do at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyEffect {
    Nothing,
    /// Opens a new connection, which brings a new QR code.
    Reconnect,
    /// Tells WhatsApp that phone and session show the same code.
    Confirm,
}

/// As long as WhatsApp takes an answer (the default of its setting `passkeys__request_options_ttl_seconds`). The
/// `timeout` in the options is how long the browser's dialog stays open; it starts again with each dialog.
const REQUEST_LASTS: time::Duration = time::Duration::seconds(600);
/// WhatsApp's passkeys work on its own page only: a browser writes the page's origin into what is signed.
const ORIGIN: &str = "https://web.whatsapp.com";
/// The relying party's hash, the flags, the counter: WebAuthn, section 6.1.
const LEAST_AUTHENTICATOR_DATA: usize = 37;

/// The ceremony after a step, and what the session must do. A step at the wrong moment changes nothing here; the
/// session's task refuses it with a reason.
pub fn next_step(passkey: PasskeyCeremony, step: PasskeyStep) -> (PasskeyCeremony, PasskeyEffect) {
    use PasskeyCeremony::{Answered, Confirm, Confirmed, Failed, None, Requested};
    let fail = |error: &str| (Failed { error: error.to_owned() }, PasskeyEffect::Reconnect);
    match (passkey, step) {
        (None | Requested(_) | Failed { .. }, PasskeyStep::Requested(request)) => {
            (Requested(request), PasskeyEffect::Nothing)
        }
        // The client keeps the first request and would refuse to answer the second.
        (Answered { .. } | Confirm { .. } | Confirmed { .. }, PasskeyStep::Requested(_)) => {
            fail("WhatsApp asked for the passkey again in the middle")
        }
        (Requested(request), PasskeyStep::Answered) => (Answered { until: request.until }, PasskeyEffect::Nothing),
        (Answered { until }, PasskeyStep::Code { skip: true, .. }) => (Confirmed { until }, PasskeyEffect::Confirm),
        (Answered { until }, PasskeyStep::Code { code, skip: false }) => {
            (Confirm { code, until }, PasskeyEffect::Nothing)
        }
        (Confirm { until, .. }, PasskeyStep::Confirmed) => (Confirmed { until }, PasskeyEffect::Nothing),
        // Also after a failure: its connection has ended, so this one is new.
        (_, PasskeyStep::Failed(error)) => fail(&error),
        (Requested(_) | Answered { .. } | Confirm { .. } | Confirmed { .. }, PasskeyStep::Expired) => {
            fail("it was not done in time")
        }
        (passkey, PasskeyStep::Answered | PasskeyStep::Code { .. } | PasskeyStep::Confirmed | PasskeyStep::Expired) => {
            (passkey, PasskeyEffect::Nothing)
        }
    }
}

impl PasskeyCeremony {
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.until().is_some()
    }

    /// The time by which it must be done, if it is under way.
    #[must_use]
    pub fn until(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Requested(PasskeyChallenge { until, .. })
            | Self::Answered { until }
            | Self::Confirm { until, .. }
            | Self::Confirmed { until } => Some(*until),
            Self::None | Self::Failed { .. } => None,
        }
    }

    #[must_use]
    pub fn state(&self) -> PasskeyState {
        match self {
            Self::None => PasskeyState::None,
            Self::Requested(_) => PasskeyState::Requested,
            Self::Answered { .. } => PasskeyState::Answered,
            Self::Confirm { .. } => PasskeyState::Confirm,
            Self::Confirmed { .. } => PasskeyState::Confirmed,
            Self::Failed { .. } => PasskeyState::Failed,
        }
    }

    /// The answer to the command `passkey`.
    #[must_use]
    pub fn progress(&self) -> command::PasskeyProgress {
        let state = self.state();
        command::PasskeyProgress {
            state,
            options: if let Self::Requested(request) = self { Some(request.options.clone()) } else { None },
            code: if let Self::Confirm { code, .. } = self { Some(code.clone()) } else { None },
            error: if let Self::Failed { error } = self { Some(error.clone()) } else { None },
            until: self.until().map(clock::iso),
            what_to_do: state.what_to_do().to_owned(),
        }
    }
}

impl PasskeyChallenge {
    /// Reads the client's event.
    ///
    /// # Errors
    /// If the options are not those of WebAuthn.
    pub fn parse(options_json: &str, now: OffsetDateTime) -> Result<Self, String> {
        let request = parse_request_options(options_json).map_err(|error| error.to_string())?;
        let options = serde_json::from_str(options_json).map_err(|error| error.to_string())?;
        let until = now.saturating_add(REQUEST_LASTS);
        Ok(Self { options, challenge: request.challenge, allowed: request.allow_credentials, until })
    }
}

/// Turns a user's answer to `request` into what WhatsApp Web sends.
///
/// # Errors
/// A text for the user that names the wrong field.
pub fn build_assertion(credential: &Value, request: &PasskeyChallenge) -> Result<Assertion, String> {
    let credential = credential.as_object().ok_or("the body must be the credential as `toJSON()` writes it")?;
    let response = credential.get("response").and_then(Value::as_object).ok_or("`response` must be an object")?;
    if credential.get("type").and_then(Value::as_str) != Some("public-key") {
        return Err("`type` must be \"public-key\"".to_owned());
    }
    let id = decode_field(credential, "id", "id")?;
    if decode_field(credential, "rawId", "rawId")? != id {
        return Err("`rawId` must be the same as `id`".to_owned());
    }
    let client_data = decode_field(response, "clientDataJSON", "response.clientDataJSON")?;
    check_client_data(&client_data, request)?;
    let authenticator_data = decode_field(response, "authenticatorData", "response.authenticatorData")?;
    if authenticator_data.len() < LEAST_AUTHENTICATOR_DATA {
        return Err("`response.authenticatorData` is too short to be WebAuthn's".to_owned());
    }
    let signature = decode_field(response, "signature", "response.signature")?;
    let user_handle = match response.get("userHandle") {
        None | Some(Value::Null) => None,
        Some(_) => Some(decode_field(response, "userHandle", "response.userHandle")?),
    };
    if !request.allowed.is_empty() && !request.allowed.contains(&id) {
        return Err(
            "`id` is none of the credentials in `options.allowCredentials`: use the account's passkey".to_owned()
        );
    }
    let assertion_json =
        build_webauthn_assertion_json(&id, &client_data, &authenticator_data, &signature, user_handle.as_deref());
    Ok(Assertion { assertion_json, credential_id: id })
}

fn check_client_data(client_data: &[u8], request: &PasskeyChallenge) -> Result<(), String> {
    let field = "`response.clientDataJSON`";
    let said: Value = serde_json::from_slice(client_data).map_err(|_| format!("{field} holds no JSON"))?;
    if said["type"] != "webauthn.get" {
        return Err(format!("{field} must be of the type \"webauthn.get\": sign with `navigator.credentials.get`"));
    }
    let challenge = said["challenge"].as_str().and_then(decode_base64url);
    if challenge.as_ref() != Some(&request.challenge) {
        return Err(format!(
            "{field} answers another challenge than the one that waits: sign the `options` as they are now"
        ));
    }
    match said["origin"].as_str() {
        Some(ORIGIN) => Ok(()),
        Some(origin) => Err(format!("the passkey must be used on {ORIGIN}, this one was made on {origin:?} ({field})")),
        None => Err(format!("{field} names no origin")),
    }
}

fn decode_field(object: &Map<String, Value>, name: &str, path: &str) -> Result<Vec<u8>, String> {
    let text = object.get(name).and_then(Value::as_str);
    let decoded = text.and_then(decode_base64url).filter(|bytes| !bytes.is_empty());
    decoded.ok_or_else(|| format!("`{path}` must be base64url"))
}

/// Some clients pad, although WebAuthn does not.
fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests;
