//! `call.received`, `call.missed` and `call.ended`. Each is published at most once: see the promises.

use super::EventOrigin;
use crate::address::ChatJid;
use serde::Serialize;

/// `data` of `call.received`, `call.missed` and `call.ended`. The author is the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallEvent {
    pub call_id: String,
    /// Null if the call rang while the session was away.
    pub video: Option<bool>,
    /// The group that is called; null if only this account is called.
    pub group: Option<ChatJid>,
    /// WhatsApp's own word for why it ended or was missed; null if it gave none, and while it rings.
    pub reason: Option<String>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}
