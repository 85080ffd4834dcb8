//! `connection.status`: sent at every change of a session's state, and with each new QR code.

use crate::session::{SessionId, SessionStatus};
use serde::{Deserialize, Serialize};

/// `data` of `connection.status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStatus {
    pub is_connected: bool,
    /// The raw text of the QR code; null unless one waits to be scanned.
    pub qr_code: Option<String>,
    pub timestamp: String,
    /// (Kurir's own.)
    pub session: SessionId,
    /// (Kurir's own.)
    pub status: SessionStatus,
    /// Why, in words, for an end or a loss; null otherwise. (Kurir's own.)
    pub reason: Option<String>,
    /// When a ban ends, ISO 8601; null if there is none or its end is unknown. (Kurir's own.)
    pub until: Option<String>,
}
