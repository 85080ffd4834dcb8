//! A circuit breaker for each endpoint. Pure.
//!
//! While the circuit is closed, all events are sent. It opens in an outage of the receiver: when an event has made all its
//! scheduled attempts, or after [`MIN_OUTAGE`]. If the receiver answers with errors, it opens after at least
//! [`MIN_FAILURES`] failures in a row over at least [`MIN_FAILING_TIME`]: a handful of events that a receiver cannot
//! process does not mean that the receiver is down. While it is open, nothing is sent and the events wait untouched. After a pause one event is sent as a probe.
//! If the probe succeeds, the circuit closes; if not, the next pause is twice as long, and the next probe is another
//! event. The dispatchers share the state of their circuits.

use crate::delivery::result::{EndpointVerdict, OutageVerdict};
use kurir_chassis::backoff::Backoff;
use kurir_contract::endpoint::CircuitState;
use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row: five events that fail through the contract's whole schedule.
pub const MIN_FAILURES: u32 = 20;
/// Time from the first of these failures to the last. It is twice the contract's whole schedule, so that events which a
/// receiver cannot process reach the dead letters.
pub const MIN_FAILING_TIME: Duration = Duration::from_secs(30);
/// An outage that is this long opens the circuit. It is longer than the contract's whole schedule (14 s), so that the
/// first event makes its scheduled attempts.
pub const MIN_OUTAGE: Duration = Duration::from_secs(15);
/// The pauses before the probes of a receiver that answers with errors. In an outage each failure says how long the
/// pause is.
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
    outage_since: Option<Instant>,
    /// The pause before the next probe in an outage.
    outage_pause: Option<Duration>,
}

/// How a verdict changed the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitChange {
    Opened,
    StillOpen,
    Closed,
    /// The receiver answered a probe, although not with success: the outage is over.
    Reachable,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            state: BreakerState::Closed,
            failures: 0,
            failing_since: None,
            failed_probes: 0,
            outage_since: None,
            outage_pause: None,
        }
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
        let was = std::mem::take(self).state;
        (was != BreakerState::Closed).then_some(CircuitChange::Closed)
    }

    /// `probe`: the probe failed. Only the probe's failure changes an open circuit; the other messages were sent before
    /// it opened.
    pub fn record_failure(
        &mut self,
        outage: Option<OutageVerdict>,
        probe: bool,
        now: Instant,
    ) -> Option<CircuitChange> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        let was_outage = self.outage_since.is_some();
        self.outage_pause = outage.map(|outage| outage.probe_pause);
        let outage_since = outage.map(|_| *self.outage_since.get_or_insert(now));
        self.outage_since = outage_since;
        let many = self.failures >= MIN_FAILURES && now.duration_since(since) >= MIN_FAILING_TIME;
        let is_outage = outage.is_some_and(|outage| outage.exhausted)
            || outage_since.is_some_and(|since| now.duration_since(since) >= MIN_OUTAGE);
        match self.state {
            BreakerState::Closed if many || is_outage => {
                self.state = BreakerState::Open { until: now + self.pause() };
                Some(CircuitChange::Opened)
            }
            BreakerState::Probing if probe && was_outage && outage.is_none() => {
                *self = Self { failures: 1, failing_since: Some(now), ..Self::default() };
                Some(CircuitChange::Reachable)
            }
            BreakerState::Probing if probe => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                self.state = BreakerState::Open { until: now + self.pause() };
                Some(CircuitChange::StillOpen)
            }
            BreakerState::Closed | BreakerState::Open { .. } | BreakerState::Probing => None,
        }
    }

    /// The receiver answered that it has no room now: it works.
    fn record_busy(&mut self, probe: bool) -> Option<CircuitChange> {
        let is_probe = probe && self.state == BreakerState::Probing;
        if is_probe || self.state == BreakerState::Closed {
            *self = Self::default();
        }
        is_probe.then_some(CircuitChange::Reachable)
    }

    /// Opens the circuit because another dispatcher opened its own.
    pub fn open_remotely(&mut self, now: Instant) {
        if self.state == BreakerState::Closed {
            self.state = BreakerState::Open { until: now + self.pause() };
        }
    }

    /// Closes the circuit because another dispatcher saw the endpoint work. A probe that is under way decides by
    /// itself. Whether it was open.
    pub fn close_remotely(&mut self) -> bool {
        let was_open = matches!(self.state, BreakerState::Open { .. });
        if was_open {
            *self = Self::default();
        }
        was_open
    }

    /// Records a delivery's verdict about the endpoint.
    pub fn record(&mut self, verdict: &EndpointVerdict, probe: bool, now: Instant) -> Option<CircuitChange> {
        match verdict {
            EndpointVerdict::Succeeded => self.record_success(),
            EndpointVerdict::Failed { outage, .. } => self.record_failure(*outage, probe, now),
            EndpointVerdict::Busy { .. } => self.record_busy(probe),
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
        self.outage_pause.unwrap_or_else(|| PROBE_BACKOFF.pause_after(self.failed_probes))
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
            assert_eq!(breaker.record_failure(None, false, begun), None, "too short a time");
        }
        breaker.record_success();
        assert_eq!(breaker.record_failure(None, false, begun), None);
        for _ in 2..MIN_FAILURES {
            assert_eq!(breaker.record_failure(None, false, now), None, "too few");
        }
        assert_eq!(breaker.record_failure(None, false, now), Some(CircuitChange::Opened));
        assert_eq!((breaker.allowance(now), breaker.try_send(now)), (0, None));
        assert_eq!(breaker.record_failure(None, false, now), None, "one that was sent before");

        let mut at = now;
        for seconds in [5, 10, 20, 40, 60, 60] {
            assert_eq!(breaker.allowance(at + Duration::from_secs(seconds) - Duration::from_millis(1)), 0);
            at += Duration::from_secs(seconds);
            assert_eq!((breaker.allowance(at), breaker.try_send(at)), (1, Some(true)));
            assert_eq!((breaker.allowance(at), breaker.try_send(at)), (0, None), "one probe at a time");
            assert_eq!(breaker.record_failure(None, true, at), Some(CircuitChange::StillOpen));
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

    fn outage(exhausted: bool) -> Option<OutageVerdict> {
        Some(OutageVerdict { probe_pause: Duration::from_secs(2), exhausted })
    }

    #[tokio::test]
    async fn in_an_outage_it_opens_after_15_seconds_or_with_the_first_event_that_waits() {
        let begun = Instant::now();
        let mut breaker = CircuitBreaker::default();
        assert_eq!(breaker.record_failure(outage(true), false, begun), Some(CircuitChange::Opened));
        assert_eq!(breaker.try_send(begun + Duration::from_secs(2)), Some(true));

        let mut breaker = CircuitBreaker::default();
        for _ in 0..100 {
            assert_eq!(breaker.record_failure(outage(false), false, begun + MIN_OUTAGE / 2), None);
        }
        let later = begun + MIN_OUTAGE / 2 + MIN_OUTAGE;
        // An answer in between: the outage begins again.
        breaker.record_failure(None, false, later);
        assert_eq!(breaker.record_failure(outage(false), false, later), None);
        assert_eq!(breaker.record_failure(outage(false), false, later + MIN_OUTAGE), Some(CircuitChange::Opened));
    }

    #[tokio::test]
    async fn an_outage_is_over_when_a_probe_is_answered_whatever_the_answer() {
        let begun = Instant::now();
        let busy = EndpointVerdict::Busy { reason: String::new(), pause: None };
        let refused = EndpointVerdict::Failed { reason: String::new(), outage: None, overload: true };
        for answer in [busy, refused] {
            let mut breaker = CircuitBreaker::default();
            breaker.record_failure(outage(true), false, begun);
            let now = begun + Duration::from_secs(2);
            assert_eq!(breaker.try_send(now), Some(true));
            assert_eq!(breaker.record(&answer, true, now), Some(CircuitChange::Reachable), "{answer:?}");
            assert_eq!((breaker.try_send(now), breaker.state()), (Some(false), CircuitState::Closed));
        }
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
        assert_eq!(breaker.record_failure(None, true, later), Some(CircuitChange::StillOpen));
        breaker.close_remotely();
        assert_eq!(breaker.try_send(later), Some(false));
    }
}
