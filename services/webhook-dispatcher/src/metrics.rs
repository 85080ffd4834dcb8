//! The dispatcher's metrics, labelled by endpoint: `/metrics` on `HEALTH_LISTEN`.
//!
//! The handles of an endpoint are looked up once, when the worker opens the endpoint. Counting is then an addition.

use crate::delivery::outcome::FailurePhase;
use kurir_chassis::metrics::{MetricsRegistry, seconds_histogram};
use kurir_contract::{
    delivery::AttemptResult,
    endpoint::{CircuitState, EndpointId},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabel {
    endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabel {
    endpoint: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    endpoint: String,
    phase: &'static str,
}

const RESULTS: [&str; 4] = ["delivered", "refused", "failed", "filtered"];

/// The metrics of all endpoints.
#[derive(Clone)]
pub struct DeliveryMetrics {
    attempts: Family<AttemptLabel, Counter>,
    missing_answers: Family<PhaseLabel, Counter>,
    dead_letters: Family<EndpointLabel, Counter>,
    in_delivery: Family<EndpointLabel, Gauge>,
    circuit: Family<EndpointLabel, Gauge>,
    duration: Histogram,
}

/// The metrics of one endpoint.
#[derive(Clone)]
pub struct EndpointMetrics {
    delivered: Counter,
    refused: Counter,
    failed: Counter,
    filtered: Counter,
    /// One counter for each phase, made when it is first needed: 10,000 endpoints would have 60,000.
    missing_answers: Family<PhaseLabel, Counter>,
    endpoint: EndpointId,
    pub dead_letters: Counter,
    pub in_delivery: Gauge,
    circuit: Gauge,
    duration: Histogram,
}

impl DeliveryMetrics {
    #[must_use]
    pub fn register(metrics: &MetricsRegistry) -> Self {
        let declared = Self {
            attempts: Family::default(),
            missing_answers: Family::default(),
            dead_letters: Family::default(),
            in_delivery: Family::default(),
            circuit: Family::default(),
            duration: seconds_histogram(),
        };
        metrics.declare_metrics(|registry| {
            registry.register(
                "webhook_attempts",
                "Attempts, by endpoint and result (filtered: not sent, and not to be)",
                declared.attempts.clone(),
            );
            registry.register(
                "webhook_missing_answers",
                "Attempts without an answer, by endpoint and by the step that failed",
                declared.missing_answers.clone(),
            );
            registry.register("webhook_dead_letters", "Events that were given up", declared.dead_letters.clone());
            registry.register("webhook_in_delivery", "Requests that are under way", declared.in_delivery.clone());
            registry.register(
                "webhook_circuit",
                "Whether events are sent: 0 all (closed), 1 one as a probe (half open), 2 none (open)",
                declared.circuit.clone(),
            );
            registry.register("webhook_attempt_seconds", "How long attempts took", declared.duration.clone());
        });
        declared
    }

    #[must_use]
    pub fn for_endpoint(&self, endpoint: &EndpointId) -> EndpointMetrics {
        let label = EndpointLabel { endpoint: endpoint.to_string() };
        let [delivered, refused, failed, filtered] =
            RESULTS.map(|result| self.attempts.get_or_create_owned(&attempt_label(endpoint, result)));
        EndpointMetrics {
            delivered,
            refused,
            failed,
            filtered,
            missing_answers: self.missing_answers.clone(),
            endpoint: endpoint.clone(),
            dead_letters: self.dead_letters.get_or_create_owned(&label),
            in_delivery: self.in_delivery.get_or_create_owned(&label),
            circuit: self.circuit.get_or_create_owned(&label),
            duration: self.duration.clone(),
        }
    }

    /// Removes the metrics of an endpoint that is closed.
    pub fn remove(&self, endpoint: &EndpointId) {
        let label = EndpointLabel { endpoint: endpoint.to_string() };
        for result in RESULTS {
            self.attempts.remove(&attempt_label(endpoint, result));
        }
        for phase in FailurePhase::ALL {
            self.missing_answers.remove(&phase_label(endpoint, phase));
        }
        self.dead_letters.remove(&label);
        self.in_delivery.remove(&label);
        self.circuit.remove(&label);
    }
}

impl EndpointMetrics {
    pub fn record_attempt(&self, result: &AttemptResult, duration: Duration) {
        match result {
            AttemptResult::Delivered { .. } => self.delivered.inc(),
            AttemptResult::Refused { .. } => self.refused.inc(),
            AttemptResult::Failed { .. } => self.failed.inc(),
            AttemptResult::Filtered { .. } => {
                self.filtered.inc();
                return;
            }
        };
        self.duration.observe(duration.as_secs_f64());
    }

    /// `phase`: the step that failed.
    pub fn count_missing_answer(&self, phase: FailurePhase) {
        self.missing_answers.get_or_create_owned(&phase_label(&self.endpoint, phase)).inc();
    }

    pub fn set_circuit(&self, circuit: CircuitState) {
        self.circuit.set(match circuit {
            CircuitState::Closed => 0,
            CircuitState::HalfOpen => 1,
            CircuitState::Open => 2,
        });
    }
}

fn attempt_label(endpoint: &EndpointId, result: &'static str) -> AttemptLabel {
    AttemptLabel { endpoint: endpoint.to_string(), result }
}

fn phase_label(endpoint: &EndpointId, phase: FailurePhase) -> PhaseLabel {
    PhaseLabel { endpoint: endpoint.to_string(), phase: phase.as_str() }
}
