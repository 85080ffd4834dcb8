//! The audit log: who changed what, from where. It never holds a key, a secret or the text of a message.

use serde::{Deserialize, Serialize};

/// A message in AUDIT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// ISO 8601.
    pub at: String,
    /// The id of the key that asked; `environment` is `API_KEY`.
    pub key_id: String,
    /// The key's name.
    pub key_name: String,
    /// Whether the caller was logged in to the dashboard with the key.
    pub via_dashboard: bool,
    /// The operation's method and route, as `POST /api/endpoints/{id}/test`.
    pub action: String,
    /// The path as it was called, without its query.
    pub path: String,
    /// The id of what was changed or made: an endpoint, a message, a job; null if the answer names none.
    pub target: Option<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The caller's address.
    pub address: String,
    pub request_id: String,
}
