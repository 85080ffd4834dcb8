//! One attempt: what is to be sent, how it ended, and what follows.

use crate::{
    delivery::{
        outcome::{AttemptFailure, FailurePhase},
        result::{EndpointVerdict, OutageVerdict},
    },
    event::StoredEvent,
    jetstream::retry_queue::RetryScope,
};
use kurir_chassis::trace_context;
use kurir_contract::endpoint::EndpointId;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tracing::{Span, field};

/// An attempt that is to be made.
pub struct DeliveryAttempt {
    pub event: StoredEvent,
    /// Counted from 1.
    pub attempt: u32,
    /// Where its retries belong; none for a fresh event.
    pub scope: Option<RetryScope>,
    /// Whether this is a probe: the endpoint's circuit is open, and the attempt tests it.
    pub probe: bool,
}

/// How an attempt ended.
pub enum ExchangeEnd {
    Delivered {
        status: u16,
    },
    /// Boxed, because it is rare: the value is moved for every event and should be small.
    Failed(Box<AttemptFailure>),
}

/// What follows a failure, and what it says about the endpoint.
pub struct FailureDecision {
    pub next_step: NextStep,
    pub verdict: EndpointVerdict,
}

impl FailureDecision {
    /// Whether the event has made all its scheduled attempts and waits for its receiver.
    #[must_use]
    pub fn waits_for_receiver(&self) -> bool {
        matches!(&self.verdict, EndpointVerdict::Failed { outage: Some(OutageVerdict { exhausted: true, .. }), .. })
    }
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    Attempt {
        /// Counted from 1.
        attempt: u32,
        at: OffsetDateTime,
    },
    /// The event is given up.
    Nothing,
    /// The receiver is gone for good: the endpoint is to be disabled, and the event waits with all others.
    Disable,
}

impl DeliveryAttempt {
    /// The span of this attempt, if the trace of its event is collected. `traced`: whether there is a collector.
    #[must_use]
    pub fn span(&self, endpoint: &EndpointId, traced: bool) -> Option<Span> {
        if !traced || trace_context::is_unsampled(self.event.traceparent.as_deref()) {
            return None;
        }
        let span = tracing::info_span!(
            "webhook",
            otel.kind = "client",
            otel.status_code = field::Empty,
            http.response.status_code = field::Empty,
            failure.phase = field::Empty,
            event.id = %self.event.id,
            endpoint.id = %endpoint,
            attempt.number = self.attempt,
        );
        trace_context::adopt(&span, self.event.headers.as_ref());
        Some(span)
    }
}

/// Writes the end of an attempt into the current span.
pub fn record_end(status: Option<u16>, phase: Option<FailurePhase>, is_delivered: bool) {
    let span = Span::current();
    if let Some(status) = status {
        span.record("http.response.status_code", status);
    }
    if let Some(phase) = phase {
        span.record("failure.phase", phase.as_str());
    }
    span.record("otel.status_code", if is_delivered { "OK" } else { "ERROR" });
}

/// When an attempt started, and how long it took.
pub struct AttemptTiming {
    pub at: OffsetDateTime,
    pub began: Instant,
    pub duration: Duration,
}

impl AttemptTiming {
    /// Starts now. `at`: the time of day.
    pub fn start(at: OffsetDateTime) -> Self {
        Self { at, began: Instant::now(), duration: Duration::ZERO }
    }
}
