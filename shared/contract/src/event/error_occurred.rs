//! `error.occurred`: Kurir gave up a send or a delivery.

use serde::{Deserialize, Serialize};

/// `data` of `error.occurred`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorOccurred {
    /// A stable name: `message.send.failed`, `webhook.delivery.failed`, `webhook.events.restarted`.
    pub error_type: String,
    pub error_message: String,
    /// `{jid, attempts}` of a send; `{endpoint, eventId, event, attempts, …}` of a delivery; `{endpoint, streamCreated}` of an
    /// endpoint that begins at the start of a new stream.
    pub context: serde_json::Value,
    pub timestamp: String,
}

impl ErrorOccurred {
    pub const SEND_FAILED: &str = "message.send.failed";
    pub const DELIVERY_FAILED: &str = "webhook.delivery.failed";
    /// The stream EVENTS is another one than before, so an endpoint begins at its start.
    pub const EVENTS_RESTARTED: &str = "webhook.events.restarted";
}
