//! `session.passkey`: how a pairing by passkey goes on.

use super::EventId;
use crate::session::{PasskeyState, SessionId};
use serde::Serialize;
use serde_json::Value;

/// `data` of `session.passkey`, at each step; that it succeeded is told by `connection.status`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionPasskey {
    pub state: PasskeyState,
    /// What the account's passkey is to sign, WebAuthn's `PublicKeyCredentialRequestOptions` in JSON; null unless `requested`.
    pub options: Option<Value>,
    /// To be compared with the code on the phone; null unless `confirm`.
    pub code: Option<String>,
    /// Why it failed, in words; null unless `failed`.
    pub error: Option<String>,
    /// When all of it must be done, ISO 8601; null if it failed.
    pub until: Option<String>,
    /// The user's next step, in words.
    pub what_to_do: String,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}
