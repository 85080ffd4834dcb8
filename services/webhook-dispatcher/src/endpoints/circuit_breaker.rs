//! A circuit breaker for each endpoint. Pure.
//!
//! Closed, all events are sent. It opens when nothing but failures came for [`FAILING_FOR`], and [`FAILURES`] of them: a
//! handful of events that a receiver cannot bear is no receiver that is down. Then nothing is sent, and the events wait
//! untouched. After a pause one goes as a probe: if it succeeds the circuit closes, if not the next pause is twice as
//! long and the next probe another event. Dispatchers tell each other of theirs: what one sees holds for all.

use crate::delivery::result::EndpointVerdict;
use kurir_contract::endpoint::CircuitState;
use std::time::Duration;
use tokio::time::Instant;

/// In a row: five events that fail through the contract's whole schedule.
pub const FAILURES: u32 = 20;
/// From the first of them to the last. Twice the contract's whole schedule: events that a receiver cannot bear come to
/// its end and rest in the dead letters, as they always did.
pub const FAILING_FOR: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// A receiver that is back is noticed within a minute.
const PAUSE_CAP: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BreakerState {
    Closed,
    Open {
        until: Instant,
    },
    /// One probe is out.
    Probing,
}

pub struct CircuitBreaker {
    state: BreakerState,
    failures: u32,
    failing_since: Option<Instant>,
    pause: Duration,
}

/// What a verdict changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitChange {
    Opened,
    StillOpen,
    Closed,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { state: BreakerState::Closed, failures: 0, failing_since: None, pause: FIRST_PAUSE }
    }
}

impl CircuitBreaker {
    /// How many may be sent now.
    #[must_use]
    pub fn admits(&self, now: Instant) -> usize {
        match self.state {
            BreakerState::Closed => usize::MAX,
            BreakerState::Open { until } if now < until => 0,
            BreakerState::Open { .. } => 1,
            BreakerState::Probing => 0,
        }
    }

    /// A message is about to be sent; whether it is sent, and then whether as a probe.
    pub fn sends(&mut self, now: Instant) -> Option<bool> {
        match self.state {
            BreakerState::Closed => Some(false),
            BreakerState::Open { until } if now >= until => {
                self.state = BreakerState::Probing;
                Some(true)
            }
            BreakerState::Open { .. } | BreakerState::Probing => None,
        }
    }

    pub fn succeeded(&mut self) -> Option<CircuitChange> {
        self.failures = 0;
        self.failing_since = None;
        self.pause = FIRST_PAUSE;
        let was = std::mem::replace(&mut self.state, BreakerState::Closed);
        (was != BreakerState::Closed).then_some(CircuitChange::Closed)
    }

    /// `probe`: what failed was the probe. Of what had been sent before it opened, no failure changes an open circuit.
    pub fn failed(&mut self, probe: bool, now: Instant) -> Option<CircuitChange> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        match self.state {
            BreakerState::Closed if self.failures >= FAILURES && now.duration_since(since) >= FAILING_FOR => {
                self.state = BreakerState::Open { until: now + self.pause };
                Some(CircuitChange::Opened)
            }
            BreakerState::Probing if probe => {
                self.pause = (self.pause * 2).min(PAUSE_CAP);
                self.state = BreakerState::Open { until: now + self.pause };
                Some(CircuitChange::StillOpen)
            }
            BreakerState::Closed | BreakerState::Open { .. } | BreakerState::Probing => None,
        }
    }

    /// Another dispatcher's circuit opened: the events that come here are spared too.
    pub fn opened_elsewhere(&mut self, now: Instant) {
        if self.state == BreakerState::Closed {
            self.state = BreakerState::Open { until: now + self.pause };
        }
    }

    /// Another dispatcher saw that it works. A probe that is out tells by itself.
    pub fn closed_elsewhere(&mut self) {
        if matches!(self.state, BreakerState::Open { .. }) {
            *self = Self::default();
        }
    }

    /// What a delivery said of the endpoint.
    pub fn hears(&mut self, verdict: &EndpointVerdict, probe: bool, now: Instant) -> Option<CircuitChange> {
        match verdict {
            EndpointVerdict::Succeeded => self.succeeded(),
            EndpointVerdict::Failed { .. } => self.failed(probe, now),
            EndpointVerdict::Untried | EndpointVerdict::Gone { .. } => {
                self.untried(probe, now);
                None
            }
        }
    }

    /// As it is shown.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        match self.state {
            BreakerState::Closed => CircuitState::Closed,
            BreakerState::Open { .. } => CircuitState::Open,
            BreakerState::Probing => CircuitState::HalfOpen,
        }
    }

    /// The probe ended without a verdict: there was nothing to send.
    pub fn untried(&mut self, probe: bool, now: Instant) {
        if probe && self.state == BreakerState::Probing {
            self.state = BreakerState::Open { until: now };
        }
    }

    /// Until when nothing is sent, from now on.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_opens_after_failures_in_a_row_and_closes_after_a_probe() {
        let begun = Instant::now();
        let now = begun + FAILING_FOR;
        let mut breaker = CircuitBreaker::default();
        for _ in 0..2 * FAILURES {
            assert_eq!(breaker.failed(false, begun), None, "too short a time");
        }
        breaker.succeeded();
        assert_eq!(breaker.failed(false, begun), None);
        for _ in 2..FAILURES {
            assert_eq!(breaker.failed(false, now), None, "too few");
        }
        assert_eq!(breaker.failed(false, now), Some(CircuitChange::Opened));
        assert_eq!((breaker.admits(now), breaker.sends(now)), (0, None));
        assert_eq!(breaker.failed(false, now), None, "one that was sent before");

        let mut at = now;
        for seconds in [5, 10, 20, 40, 60, 60] {
            assert_eq!(breaker.admits(at + Duration::from_secs(seconds) - Duration::from_millis(1)), 0);
            at += Duration::from_secs(seconds);
            assert_eq!((breaker.admits(at), breaker.sends(at)), (1, Some(true)));
            assert_eq!((breaker.admits(at), breaker.sends(at)), (0, None), "one probe at a time");
            assert_eq!(breaker.failed(true, at), Some(CircuitChange::StillOpen));
        }
        at += PAUSE_CAP;
        assert_eq!(breaker.sends(at), Some(true));
        breaker.untried(true, at);
        assert_eq!(breaker.sends(at), Some(true), "a probe that had nothing to send is followed by another");
        assert_eq!(breaker.succeeded(), Some(CircuitChange::Closed));
        assert_eq!((breaker.admits(at), breaker.sends(at), breaker.pause()), (usize::MAX, Some(false), FIRST_PAUSE));
    }

    #[tokio::test]
    async fn what_another_dispatcher_sees_opens_and_closes_it_but_ends_no_probe() {
        let now = Instant::now();
        let mut breaker = CircuitBreaker::default();
        breaker.opened_elsewhere(now);
        assert_eq!((breaker.admits(now), breaker.sends(now)), (0, None));
        let later = now + FIRST_PAUSE;
        assert_eq!(breaker.sends(later), Some(true));
        breaker.opened_elsewhere(later);
        breaker.closed_elsewhere();
        assert_eq!(breaker.sends(later), None, "the probe is still out");
        assert_eq!(breaker.failed(true, later), Some(CircuitChange::StillOpen));
        breaker.closed_elsewhere();
        assert_eq!(breaker.sends(later), Some(false));
    }
}
