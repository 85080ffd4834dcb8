//! Commands that send a location or a contact.

use super::{IdempotencyKey, Quote};
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
    /// Empty if the place has no name; the same for `address`.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub address: String,
    /// The id of the message to which this one replies.
    #[serde(default)]
    pub quoted: Option<String>,
    /// What is known of that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// A send with the same key is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendContact {
    pub to: ChatJid,
    pub display_name: String,
    /// In the format of RFC 6350 or of its forerunner 3.0.
    pub vcard: String,
    /// The id of the message to which this one replies.
    #[serde(default)]
    pub quoted: Option<String>,
    /// What is known of that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    /// A send with the same key is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}
