//! Changes of an endpoint's health that others must know. `health_reporter` stores and publishes them.

use crate::{
    delivery::result::EndpointVerdict,
    endpoints::{circuit_breaker::CircuitChange, failing_endpoints::FailingEndpoints},
};
use kurir_contract::endpoint::EndpointId;
use std::time::Duration;
use tokio::time::Instant;

/// What a worker saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// An attempt failed, and none has succeeded since. The events are sent as before. `is_away`: the receiver is away.
    Failing { endpoint: EndpointId, reason: String, is_away: bool },
    /// The receiver has no room: nothing is sent for this long.
    Paused { endpoint: EndpointId, reason: String, pause: Duration },
    /// An outage is over, but no event was accepted yet.
    Reachable { endpoint: EndpointId },
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
/// How a verdict changed an endpoint's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictEffect {
    pub circuit_change: Option<CircuitChange>,
    /// The pause that began.
    pub pause: Option<Duration>,
}

/// The change to report after a verdict, if there is one. `probe_pause`: the circuit's.
#[must_use]
pub fn health_change_after(
    endpoint: &EndpointId,
    effect: VerdictEffect,
    verdict: EndpointVerdict,
    probe_pause: Duration,
    failing: &FailingEndpoints,
) -> Option<HealthChange> {
    let endpoint = endpoint.clone();
    match (effect.circuit_change, verdict) {
        (Some(CircuitChange::Opened | CircuitChange::StillOpen), EndpointVerdict::Failed { reason, .. }) => {
            let pause = probe_pause.as_secs();
            tracing::warn!(
                endpoint.id = %endpoint,
                "webhook endpoint {endpoint} fails: its events wait, one is tried in {pause} s: {reason}"
            );
            Some(HealthChange::Open { endpoint, reason })
        }
        (Some(CircuitChange::Closed), _) => {
            tracing::info!(endpoint.id = %endpoint, "webhook endpoint {endpoint} works again");
            Some(HealthChange::Closed { endpoint })
        }
        (_, EndpointVerdict::Gone { reason }) => Some(HealthChange::Gone { endpoint, reason }),
        (_, EndpointVerdict::Busy { reason, .. }) if effect.pause.is_some() => {
            let pause = effect.pause.unwrap_or_default();
            tracing::warn!(
                endpoint.id = %endpoint,
                "webhook endpoint {endpoint} has no room: its events wait for {} s: {reason}", pause.as_secs_f32()
            );
            Some(HealthChange::Paused { endpoint, reason, pause })
        }
        (Some(CircuitChange::Reachable), _) => Some(HealthChange::Reachable { endpoint }),
        // The dispatcher that reported the failure has ended, or its report of the recovery was lost.
        (_, EndpointVerdict::Succeeded) if failing.take_if_failing(&endpoint) => {
            Some(HealthChange::Closed { endpoint })
        }
        (_, EndpointVerdict::Failed { reason, outage, .. }) if failing.add(&endpoint, Instant::now()) => {
            Some(HealthChange::Failing { endpoint, reason, is_away: outage.is_some() })
        }
        (
            _,
            EndpointVerdict::Succeeded
            | EndpointVerdict::Failed { .. }
            | EndpointVerdict::Busy { .. }
            | EndpointVerdict::Untried,
        ) => None,
    }
}
