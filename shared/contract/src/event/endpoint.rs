//! `endpoint.failing`, `endpoint.disabled`, `endpoint.recovered`: how an endpoint fares. Never delivered to itself.

use crate::endpoint::EndpointId;
use serde::{Deserialize, Serialize};

/// `data` of all three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EndpointEvent {
    pub endpoint: EndpointId,
    pub description: String,
    /// What the receiver did last, in words, without the URL; null after a recovery.
    pub reason: Option<String>,
    /// Since when nothing was delivered, ISO 8601; null if it did not fail (an answer of 410 disables at once).
    pub failing_since: Option<String>,
    /// When it will be disabled if it goes on failing, ISO 8601; null if it never will.
    pub disabled_at: Option<String>,
    pub timestamp: String,
}
