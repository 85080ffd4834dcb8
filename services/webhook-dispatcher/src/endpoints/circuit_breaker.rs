//! A circuit breaker for each endpoint. Pure.
//!
//! While the circuit is closed, all events are sent. It opens after at least [`MIN_FAILURES`] failures in a row over at
//! least [`MIN_FAILING_TIME`]: a handful of events that a receiver cannot process does not mean that the receiver is
//! down. While it is open, nothing is sent and the events wait untouched. After a pause one event is sent as a probe.
//! If the probe succeeds, the circuit closes; if not, the next pause is twice as long, and the next probe is another
//! event. The dispatchers share the state of their circuits.

use crate::delivery::result::EndpointVerdict;
use kurir_chassis::backoff::Backoff;
use kurir_contract::endpoint::CircuitState;
use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row: five events that fail through the contract's whole schedule.
pub const MIN_FAILURES: u32 = 20;
/// Time from the first of these failures to the last. It is twice the contract's whole schedule, so that events which a
/// receiver cannot process reach the dead letters.
pub const MIN_FAILING_TIME: Duration = Duration::from_secs(30);
/// The pauses before the probes. A receiver that is back is noticed within a minute.
const PROBE_BACKOFF: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BreakerState {
    Closed,
    Open {
        until: Instant,
    },
    /// One probe is under way.
    Probing,
}

pub struct CircuitBreaker {
    state: BreakerState,
    failures: u32,
    failing_since: Option<Instant>,
    /// Failed probes in a row.
    failed_probes: u32,
}

/// How a verdict changed the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitChange {
    Opened,
    StillOpen,
    Closed,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { state: BreakerState::Closed, failures: 0, failing_since: None, failed_probes: 0 }
    }
}

impl CircuitBreaker {
    /// How many messages may be sent now.
    #[must_use]
    pub fn allowance(&self, now: Instant) -> usize {
        match self.state {
            BreakerState::Closed => usize::MAX,
            BreakerState::Open { until } if now < until => 0,
            BreakerState::Open { .. } => 1,
            BreakerState::Probing => 0,
        }
    }

    /// Decides about a message that is about to be sent: none if it must wait, else whether it is a probe.
    pub fn try_send(&mut self, now: Instant) -> Option<bool> {
        match self.state {
            BreakerState::Closed => Some(false),
            BreakerState::Open { until } if now >= until => {
                self.state = BreakerState::Probing;
                Some(true)
            }
            BreakerState::Open { .. } | BreakerState::Probing => None,
        }
    }

    pub fn record_success(&mut self) -> Option<CircuitChange> {
        self.failures = 0;
        self.failing_since = None;
        self.failed_probes = 0;
        let was = std::mem::replace(&mut self.state, BreakerState::Closed);
        (was != BreakerState::Closed).then_some(CircuitChange::Closed)
    }

    /// `probe`: the probe failed. Only the probe's failure changes an open circuit; the other messages were sent before
    /// it opened.
    pub fn record_failure(&mut self, probe: bool, now: Instant) -> Option<CircuitChange> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        match self.state {
            BreakerState::Closed if self.failures >= MIN_FAILURES && now.duration_since(since) >= MIN_FAILING_TIME => {
                self.state = BreakerState::Open { until: now + self.pause() };
                Some(CircuitChange::Opened)
            }
            BreakerState::Probing if probe => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                self.state = BreakerState::Open { until: now + self.pause() };
                Some(CircuitChange::StillOpen)
            }
            BreakerState::Closed | BreakerState::Open { .. } | BreakerState::Probing => None,
        }
    }

    /// Opens the circuit because another dispatcher opened its own.
    pub fn open_remotely(&mut self, now: Instant) {
        if self.state == BreakerState::Closed {
            self.state = BreakerState::Open { until: now + self.pause() };
        }
    }

    /// Closes the circuit because another dispatcher saw the endpoint work. A probe that is under way decides by
    /// itself.
    pub fn close_remotely(&mut self) {
        if matches!(self.state, BreakerState::Open { .. }) {
            *self = Self::default();
        }
    }

    /// Records a delivery's verdict about the endpoint.
    pub fn record(&mut self, verdict: &EndpointVerdict, probe: bool, now: Instant) -> Option<CircuitChange> {
        match verdict {
            EndpointVerdict::Succeeded => self.record_success(),
            EndpointVerdict::Failed { .. } => self.record_failure(probe, now),
            EndpointVerdict::Untried | EndpointVerdict::Gone { .. } => {
                self.cancel_probe(probe, now);
                None
            }
        }
    }

    /// The state, as the API shows it.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        match self.state {
            BreakerState::Closed => CircuitState::Closed,
            BreakerState::Open { .. } => CircuitState::Open,
            BreakerState::Probing => CircuitState::HalfOpen,
        }
    }

    /// Ends a probe without a verdict: there was nothing to send.
    pub fn cancel_probe(&mut self, probe: bool, now: Instant) {
        if probe && self.state == BreakerState::Probing {
            self.state = BreakerState::Open { until: now };
        }
    }

    /// The pause before the next probe.
    #[must_use]
    pub fn pause(&self) -> Duration {
        PROBE_BACKOFF.pause_after(self.failed_probes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_opens_after_failures_in_a_row_and_closes_after_a_probe() {
        let begun = Instant::now();
        let now = begun + MIN_FAILING_TIME;
        let mut breaker = CircuitBreaker::default();
        for _ in 0..2 * MIN_FAILURES {
            assert_eq!(breaker.record_failure(false, begun), None, "too short a time");
        }
        breaker.record_success();
        assert_eq!(breaker.record_failure(false, begun), None);
        for _ in 2..MIN_FAILURES {
            assert_eq!(breaker.record_failure(false, now), None, "too few");
        }
        assert_eq!(breaker.record_failure(false, now), Some(CircuitChange::Opened));
        assert_eq!((breaker.allowance(now), breaker.try_send(now)), (0, None));
        assert_eq!(breaker.record_failure(false, now), None, "one that was sent before");

        let mut at = now;
        for seconds in [5, 10, 20, 40, 60, 60] {
            assert_eq!(breaker.allowance(at + Duration::from_secs(seconds) - Duration::from_millis(1)), 0);
            at += Duration::from_secs(seconds);
            assert_eq!((breaker.allowance(at), breaker.try_send(at)), (1, Some(true)));
            assert_eq!((breaker.allowance(at), breaker.try_send(at)), (0, None), "one probe at a time");
            assert_eq!(breaker.record_failure(true, at), Some(CircuitChange::StillOpen));
        }
        at += breaker.pause();
        assert_eq!(breaker.try_send(at), Some(true));
        breaker.cancel_probe(true, at);
        assert_eq!(breaker.try_send(at), Some(true), "a probe that had nothing to send is followed by another");
        assert_eq!(breaker.record_success(), Some(CircuitChange::Closed));
        assert_eq!(
            (breaker.allowance(at), breaker.try_send(at), breaker.pause()),
            (usize::MAX, Some(false), PROBE_BACKOFF.pause_after(0))
        );
    }

    #[tokio::test]
    async fn what_another_dispatcher_sees_opens_and_closes_it_but_ends_no_probe() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::default();
        breaker.open_remotely(now);
        assert_eq!((breaker.allowance(now), breaker.try_send(now)), (0, None));
        let later = now + breaker.pause();
        assert_eq!(breaker.try_send(later), Some(true));
        breaker.open_remotely(later);
        breaker.close_remotely();
        assert_eq!(breaker.try_send(later), None, "the probe is still out");
        assert_eq!(breaker.record_failure(true, later), Some(CircuitChange::StillOpen));
        breaker.close_remotely();
        assert_eq!(breaker.try_send(later), Some(false));
    }
}
