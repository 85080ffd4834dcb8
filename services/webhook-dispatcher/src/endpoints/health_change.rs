//! What deliveries say of an endpoint that others must hear: `standing` makes it known.

use crate::{
    delivery::result::EndpointVerdict,
    endpoints::{circuit_breaker::CircuitChange, failing_endpoints::FailingEndpoints},
};
use kurir_contract::endpoint::EndpointId;
use std::time::Duration;

/// What a worker saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// It fails: its events wait.
    Open { endpoint: EndpointId, reason: String },
    /// One event is sent to see whether it works again.
    Probing { endpoint: EndpointId },
    /// It works again.
    Closed { endpoint: EndpointId },
    /// It has another URL: how the old one fared says nothing of it.
    Moved { endpoint: EndpointId },
    /// Its receiver answered that it is gone for good.
    Gone { endpoint: EndpointId, reason: String },
}

/// News that wait. A circuit has some in five seconds at the most.
pub const HEALTH_CHANGE_QUEUE: usize = 1_024;
/// What is made known of a verdict that turned an endpoint's circuit, or ended the endpoint. `pause`: of the circuit.
#[must_use]
pub fn news_of(
    endpoint: &EndpointId,
    turn: Option<CircuitChange>,
    verdict: EndpointVerdict,
    pause: Duration,
    failing: &FailingEndpoints,
) -> Option<HealthChange> {
    let pause = pause.as_secs();
    match (turn, verdict) {
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
        // Said of it by a dispatcher that is gone, or whose word was lost.
        (None, EndpointVerdict::Succeeded) if failing.works(endpoint) => {
            Some(HealthChange::Closed { endpoint: endpoint.clone() })
        }
        (_, EndpointVerdict::Gone { reason }) => Some(HealthChange::Gone { endpoint: endpoint.clone(), reason }),
        (_, EndpointVerdict::Succeeded | EndpointVerdict::Failed { .. } | EndpointVerdict::Untried) => None,
    }
}
