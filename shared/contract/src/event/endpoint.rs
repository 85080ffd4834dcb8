//! `endpoint.failing`, `endpoint.disabled`, `endpoint.recovered`: the health of a webhook endpoint.
//!
//! An endpoint never receives an event about itself.

use crate::endpoint_id::EndpointId;
use serde::{Deserialize, Serialize};

/// `data` of `endpoint.failing`, `endpoint.disabled` and `endpoint.recovered`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndpointEvent {
    pub endpoint: EndpointId,
    pub description: String,
    /// The receiver's last failure, in words and without the URL; null after a recovery.
    pub reason: Option<String>,
    /// Since when nothing was delivered, ISO 8601; null if the endpoint did not fail (a 410 disables it at once).
    pub failing_since: Option<String>,
    /// When Kurir disables it if it goes on failing, ISO 8601; null if Kurir never does.
    pub disabled_at: Option<String>,
    pub timestamp: String,
}
