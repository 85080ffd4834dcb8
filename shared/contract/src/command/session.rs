//! Commands about a session: its state, pairing by code, logout.

use crate::{
    address::ChatJid,
    session::{RestrictionKind, SessionStatus},
};
use serde::{Deserialize, Serialize};

/// The state of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionInfo {
    pub is_connected: bool,
    pub qr_code: Option<String>,
    /// The setting `WHATSAPP_SESSION_PATH`.
    pub session_path: String,
    pub status: SessionStatus,
    /// The reason in words; null if there is none.
    pub reason: Option<String>,
    /// When a ban ends, ISO 8601.
    pub until: Option<String>,
    /// The account's own number, once it is paired.
    pub jid: Option<ChatJid>,
    /// The account's own LID, once it is paired.
    pub lid: Option<ChatJid>,
    /// When the account's phone was last seen, ISO 8601.
    #[serde(default)]
    pub phone_last_seen: Option<String>,
    /// The restriction by WhatsApp that is in force; null if there is none.
    #[serde(default)]
    pub restriction: Option<ActiveRestriction>,
}

/// A restriction by WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActiveRestriction {
    pub kind: RestrictionKind,
    /// ISO 8601.
    pub since: String,
    /// When it ends, or when WhatsApp is asked again, ISO 8601.
    pub until: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairingCodeRequest {
    /// Digits with the country code.
    pub phone_number: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PairingCode {
    /// Eight characters, to be typed on the phone.
    pub code: String,
    /// How long the code works, in seconds.
    pub expires_in_seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggedOut {
    /// False if there was no session to end.
    pub was_paired: bool,
}
