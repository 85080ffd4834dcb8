//! The dispatcher's metrics, labelled by endpoint: `/metrics` on `HEALTH_LISTEN`.
//!
//! The handles of an endpoint are looked up once, when the worker opens the endpoint. Counting is then an addition.

use crate::delivery::outcome::FailurePhase;
use kurir_chassis::metrics::{
    MetricsRegistry, TraceLabel, TracedHistogram, traced_seconds_histogram, traced_waits_histogram,
};
use kurir_contract::{
    delivery::AttemptResult,
    endpoint::{CircuitState, EndpointId},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabel {
    stream: &'static str,
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
    duration: TracedHistogram,
    delivery: TracedHistogram,
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
    duration: TracedHistogram,
    delivery: TracedHistogram,
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
            duration: traced_seconds_histogram(),
            delivery: traced_waits_histogram(),
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
            registry.register(
                "webhook_delivery_seconds",
                "From the storing of an event to the receiver's 2xx, without replays",
                declared.delivery.clone(),
            );
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
            delivery: self.delivery.clone(),
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

/// Events that wait, or dead letters.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitingEvents {
    pub count: u64,
    /// How long ago the oldest was stored; none if there is none.
    pub oldest: Option<Duration>,
}

/// What waits, as NATS counts it.
#[derive(Clone)]
pub struct BacklogMetrics {
    waiting: Family<EndpointLabel, Gauge>,
    oldest: Family<EndpointLabel, Gauge>,
    dead_letters: Gauge,
    oldest_dead_letter: Gauge,
    stream_bytes: Family<StreamLabel, Gauge>,
    stream_limit: Family<StreamLabel, Gauge>,
    /// The endpoints that have figures.
    known: Arc<Mutex<Vec<EndpointLabel>>>,
}

impl BacklogMetrics {
    #[must_use]
    pub fn register(metrics: &MetricsRegistry) -> Self {
        let declared = Self {
            waiting: Family::default(),
            oldest: Family::default(),
            dead_letters: Gauge::default(),
            oldest_dead_letter: Gauge::default(),
            stream_bytes: Family::default(),
            stream_limit: Family::default(),
            known: Arc::default(),
        };
        metrics.declare_metrics(|registry| {
            registry.register(
                "webhook_waiting_events",
                "Events that wait for an endpoint, retries included; each dispatcher reports the same",
                declared.waiting.clone(),
            );
            registry.register(
                "webhook_oldest_waiting_seconds",
                "How long ago the oldest of them was stored; 0 if none waits",
                declared.oldest.clone(),
            );
            registry.register(
                "webhook_dead_letters_stored",
                "Dead letters that were neither replayed nor deleted",
                declared.dead_letters.clone(),
            );
            registry.register(
                "webhook_oldest_dead_letter_seconds",
                "How long ago the oldest of them was stored; 0 if there is none",
                declared.oldest_dead_letter.clone(),
            );
            registry.register("stream_bytes", "What a stream of NATS holds", declared.stream_bytes.clone());
            registry.register(
                "stream_max_bytes",
                "What a stream of NATS may hold; without a limit there is no series",
                declared.stream_limit.clone(),
            );
        });
        declared
    }

    /// Sets what waits for each endpoint. The figures of endpoints that are gone end.
    pub fn record_waiting(&self, waiting: BTreeMap<EndpointId, WaitingEvents>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone =
            |label: &EndpointLabel| label.endpoint.parse().map_or(true, |id: EndpointId| !waiting.contains_key(&id));
        for label in known.drain(..).filter(is_gone) {
            self.waiting.remove(&label);
            self.oldest.remove(&label);
        }
        for (endpoint, waiting) in waiting {
            let label = EndpointLabel { endpoint: endpoint.to_string() };
            self.waiting.get_or_create_owned(&label).set(gauge_value(waiting.count));
            self.oldest.get_or_create_owned(&label).set(gauge_value(seconds(waiting.oldest)));
            known.push(label);
        }
    }

    /// `limit`: no limit if it is not positive.
    pub fn record_stream(&self, stream: &'static str, bytes: u64, limit: i64) {
        self.stream_bytes.get_or_create_owned(&StreamLabel { stream }).set(gauge_value(bytes));
        if limit > 0 {
            self.stream_limit.get_or_create_owned(&StreamLabel { stream }).set(limit);
        } else {
            self.stream_limit.remove(&StreamLabel { stream });
        }
    }

    pub fn record_dead_letters(&self, stored: WaitingEvents) {
        self.dead_letters.set(gauge_value(stored.count));
        self.oldest_dead_letter.set(gauge_value(seconds(stored.oldest)));
    }
}

fn seconds(age: Option<Duration>) -> u64 {
    age.map_or(0, |age| age.as_secs())
}

fn gauge_value(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl EndpointMetrics {
    /// Records that the receiver has taken an event that was stored so long ago.
    pub fn record_delivery(&self, since_stored: Duration, trace: Option<TraceLabel>) {
        self.delivery.observe(since_stored.as_secs_f64(), trace, None);
    }

    pub fn record_attempt(&self, result: &AttemptResult, duration: Duration, trace: Option<TraceLabel>) {
        match result {
            AttemptResult::Delivered { .. } => self.delivered.inc(),
            AttemptResult::Refused { .. } => self.refused.inc(),
            AttemptResult::Failed { .. } => self.failed.inc(),
            AttemptResult::Filtered { .. } => {
                self.filtered.inc();
                return;
            }
        };
        self.duration.observe(duration.as_secs_f64(), trace, None);
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
