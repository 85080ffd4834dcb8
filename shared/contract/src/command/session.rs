//! A session: where it stands, pairing by code, its end.

use crate::{
    address::ChatJid,
    session::{RestrictionKind, SessionStatus},
};
use serde::{Deserialize, Serialize};

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionInfo {
    pub is_connected: bool,
    pub qr_code: Option<String>,
    /// `WHATSAPP_SESSION_PATH` as it was set.
    pub session_path: String,
    pub status: SessionStatus,
    /// Why, in words; null if there is nothing to say.
    pub reason: Option<String>,
    /// When a ban ends, ISO 8601.
    pub until: Option<String>,
    /// The own number's JID once paired.
    pub jid: Option<ChatJid>,
    /// The own LID once paired.
    pub lid: Option<ChatJid>,
    /// When the account's phone was last seen, ISO 8601.
    #[serde(default)]
    pub phone_last_seen: Option<String>,
    /// What WhatsApp does not let the account do at the moment; null if nothing.
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
    /// When it ends, or is looked at again, ISO 8601.
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
    /// Eight characters, typed on the phone.
    pub code: String,
    /// How long it is good for, seconds.
    pub expires_in_seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggedOut {
    /// False if no session was there to end.
    pub was_paired: bool,
}
