//! The state of an endpoint that fails, shared by all dispatchers and shown to the user.

use serde::{Deserialize, Serialize};

/// The state of an endpoint. The bucket [`STATES_BUCKET`](super::STATES_BUCKET) has it under the endpoint's id; an endpoint
/// without an entry works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointState {
    #[serde(default)]
    pub circuit: CircuitState,
    /// Since when attempts have failed and none has succeeded, ISO 8601.
    #[serde(default)]
    pub failing_since: Option<String>,
    /// The receiver's last failure, in words and without the URL.
    #[serde(default)]
    pub last_error: Option<String>,
    /// Whether the circuit has opened since then. Only then its recovery is published.
    #[serde(default)]
    pub opened: bool,
    /// How long the receiver asked not to be sent anything, in milliseconds from when this was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<u64>,
    /// The last warning, in per cent of the time until the endpoint is disabled: 50 or 80. Each is published once.
    #[serde(default)]
    pub warned_percent: u8,
}

impl EndpointState {
    /// Records a failure. `at`: when it failed, ISO 8601.
    pub fn record_failure(&mut self, reason: &str, at: String) {
        self.last_error = Some(reason.to_owned());
        self.failing_since.get_or_insert(at);
    }
}

/// Whether events are sent to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CircuitState {
    /// All events are sent.
    #[default]
    Closed,
    /// No event is sent; all wait.
    Open,
    /// One event is sent as a probe.
    HalfOpen,
}
