//! Changes of an endpoint's health that others must know. `health_reporter` stores and publishes them.

use crate::{
    delivery::result::EndpointVerdict,
    endpoints::{circuit_breaker::CircuitChange, failing_endpoints::FailingEndpoints},
};
use kurir_contract::endpoint::EndpointId;
use std::time::Duration;

/// What a worker saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// The endpoint fails, and its events wait.
    Open { endpoint: EndpointId, reason: String },
    /// A probe is sent.
    Probing { endpoint: EndpointId },
    /// The endpoint works again.
    Closed { endpoint: EndpointId },
    /// The endpoint has another URL; the health of the old one does not count any more.
    UrlChanged { endpoint: EndpointId },
    /// The receiver answered that it is gone for good.
    Gone { endpoint: EndpointId, reason: String },
}

/// Changes that wait for the reporter. A circuit has at most a few in five seconds.
pub const HEALTH_CHANGE_QUEUE: usize = 1_024;
/// The change to report after a verdict, if there is one. `pause`: the circuit's.
#[must_use]
pub fn health_change_after(
    endpoint: &EndpointId,
    circuit_change: Option<CircuitChange>,
    verdict: EndpointVerdict,
    pause: Duration,
    failing: &FailingEndpoints,
) -> Option<HealthChange> {
    let pause = pause.as_secs();
    match (circuit_change, verdict) {
        (Some(CircuitChange::Opened | CircuitChange::StillOpen), EndpointVerdict::Failed { reason }) => {
            tracing::warn!(
                endpoint.id = %endpoint,
                "webhook endpoint {endpoint} fails: its events wait, one is tried in {pause} s: {reason}"
            );
            Some(HealthChange::Open { endpoint: endpoint.clone(), reason })
        }
        (Some(CircuitChange::Closed), _) => {
            tracing::info!(endpoint.id = %endpoint, "webhook endpoint {endpoint} works again");
            Some(HealthChange::Closed { endpoint: endpoint.clone() })
        }
        // The dispatcher that reported the failure has ended, or its report of the recovery was lost.
        (None, EndpointVerdict::Succeeded) if failing.take_if_failing(endpoint) => {
            Some(HealthChange::Closed { endpoint: endpoint.clone() })
        }
        (_, EndpointVerdict::Gone { reason }) => Some(HealthChange::Gone { endpoint: endpoint.clone(), reason }),
        (_, EndpointVerdict::Succeeded | EndpointVerdict::Failed { .. } | EndpointVerdict::Untried) => None,
    }
}
