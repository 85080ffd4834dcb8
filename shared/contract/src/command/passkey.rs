//! Commands for pairing by passkey: how far it is, and the user's answer.

use crate::session::PasskeyState;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a pairing by passkey stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PasskeyProgress {
    pub state: PasskeyState,
    /// What the account's passkey is to sign, WebAuthn's `PublicKeyCredentialRequestOptions` in JSON; null unless `requested`.
    pub options: Option<Value>,
    /// To be compared with the code on the phone; null unless `confirm`.
    pub code: Option<String>,
    /// Why it failed, in words; null unless `failed`.
    pub error: Option<String>,
    /// When all of it must be done, ISO 8601; null unless it is under way.
    pub until: Option<String>,
    /// The user's next step, in words.
    pub what_to_do: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerPasskey {
    /// WebAuthn's `PublicKeyCredential` as its `toJSON()` writes it, with an assertion as `response`.
    pub credential: Value,
}
