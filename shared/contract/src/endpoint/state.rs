//! What the dispatchers see of an endpoint that does not work, for all of them and for its user.

use serde::{Deserialize, Serialize};

/// In the bucket [`STATES_BUCKET`](super::STATES_BUCKET) under the endpoint's id. No entry means that nothing is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointState {
    #[serde(default)]
    pub circuit: CircuitState,
    /// Since when nothing was delivered and attempts failed, ISO 8601.
    #[serde(default)]
    pub failing_since: Option<String>,
    /// What the receiver did last, in words, without the URL.
    #[serde(default)]
    pub last_error: Option<String>,
    /// Of the time until it is disabled: 50 and 80 are told of once each.
    #[serde(default)]
    pub warned_percent: u8,
}

/// Whether events are sent at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CircuitState {
    /// All are.
    #[default]
    Closed,
    /// None is: they wait untouched.
    Open,
    /// One is, as a probe.
    HalfOpen,
}
