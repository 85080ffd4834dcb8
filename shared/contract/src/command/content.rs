//! Messages that are no text.

use super::IdempotencyKey;
use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendLocation {
    pub to: ChatJid,
    /// Degrees, -90 to 90.
    pub latitude: f64,
    /// Degrees, -180 to 180.
    pub longitude: f64,
    /// Empty if it has none; so is `address`.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub address: String,
    /// Id of the message that this one replies to.
    #[serde(default)]
    pub quoted: Option<String>,
    /// The same key never sends twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendContact {
    pub to: ChatJid,
    pub display_name: String,
    /// As RFC 6350 or its forerunner 3.0 has it.
    pub vcard: String,
    /// Id of the message that this one replies to.
    #[serde(default)]
    pub quoted: Option<String>,
    /// The same key never sends twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}
