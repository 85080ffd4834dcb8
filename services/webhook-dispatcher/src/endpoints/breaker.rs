//! A circuit breaker for each endpoint. Pure.
//!
//! Closed, all events are sent. It opens when nothing but failures came for [`FAILING_FOR`], and [`FAILURES`] of them: a
//! handful of events that a receiver cannot bear is no receiver that is down. Then nothing is sent, and the events wait
//! untouched. After a pause one goes as a probe: if it succeeds the circuit closes, if not the next pause is twice as
//! long and the next probe another event. Dispatchers tell each other of theirs: what one sees holds for all.

use crate::delivery::Verdict;
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
enum State {
    Closed,
    Open {
        until: Instant,
    },
    /// One probe is out.
    Probing,
}

pub struct Breaker {
    state: State,
    failures: u32,
    failing_since: Option<Instant>,
    pause: Duration,
}

/// What a verdict changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Opened,
    StillOpen,
    Closed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, failures: 0, failing_since: None, pause: FIRST_PAUSE }
    }
}

impl Breaker {
    /// How many may be sent now.
    #[must_use]
    pub fn admits(&self, now: Instant) -> usize {
        match self.state {
            State::Closed => usize::MAX,
            State::Open { until } if now < until => 0,
            State::Open { .. } => 1,
            State::Probing => 0,
        }
    }

    /// A message is about to be sent; whether it is sent, and then whether as a probe.
    pub fn sends(&mut self, now: Instant) -> Option<bool> {
        match self.state {
            State::Closed => Some(false),
            State::Open { until } if now >= until => {
                self.state = State::Probing;
                Some(true)
            }
            State::Open { .. } | State::Probing => None,
        }
    }

    pub fn succeeded(&mut self) -> Option<Turn> {
        self.failures = 0;
        self.failing_since = None;
        self.pause = FIRST_PAUSE;
        let was = std::mem::replace(&mut self.state, State::Closed);
        (was != State::Closed).then_some(Turn::Closed)
    }

    /// `probe`: what failed was the probe. Of what had been sent before it opened, no failure changes an open circuit.
    pub fn failed(&mut self, probe: bool, now: Instant) -> Option<Turn> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        match self.state {
            State::Closed if self.failures >= FAILURES && now.duration_since(since) >= FAILING_FOR => {
                self.state = State::Open { until: now + self.pause };
                Some(Turn::Opened)
            }
            State::Probing if probe => {
                self.pause = (self.pause * 2).min(PAUSE_CAP);
                self.state = State::Open { until: now + self.pause };
                Some(Turn::StillOpen)
            }
            State::Closed | State::Open { .. } | State::Probing => None,
        }
    }

    /// Another dispatcher's circuit opened: the events that come here are spared too.
    pub fn opened_elsewhere(&mut self, now: Instant) {
        if self.state == State::Closed {
            self.state = State::Open { until: now + self.pause };
        }
    }

    /// Another dispatcher saw that it works. A probe that is out tells by itself.
    pub fn closed_elsewhere(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            *self = Self::default();
        }
    }

    /// What a delivery said of the endpoint.
    pub fn hears(&mut self, verdict: &Verdict, probe: bool, now: Instant) -> Option<Turn> {
        match verdict {
            Verdict::Succeeded => self.succeeded(),
            Verdict::Failed { .. } => self.failed(probe, now),
            Verdict::Untried | Verdict::Gone { .. } => {
                self.untried(probe, now);
                None
            }
        }
    }

    /// As it is shown.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        match self.state {
            State::Closed => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::Probing => CircuitState::HalfOpen,
        }
    }

    /// The probe ended without a verdict: there was nothing to send.
    pub fn untried(&mut self, probe: bool, now: Instant) {
        if probe && self.state == State::Probing {
            self.state = State::Open { until: now };
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
        let mut breaker = Breaker::default();
        for _ in 0..2 * FAILURES {
            assert_eq!(breaker.failed(false, begun), None, "too short a time");
        }
        breaker.succeeded();
        assert_eq!(breaker.failed(false, begun), None);
        for _ in 2..FAILURES {
            assert_eq!(breaker.failed(false, now), None, "too few");
        }
        assert_eq!(breaker.failed(false, now), Some(Turn::Opened));
        assert_eq!((breaker.admits(now), breaker.sends(now)), (0, None));
        assert_eq!(breaker.failed(false, now), None, "one that was sent before");

        let mut at = now;
        for seconds in [5, 10, 20, 40, 60, 60] {
            assert_eq!(breaker.admits(at + Duration::from_secs(seconds) - Duration::from_millis(1)), 0);
            at += Duration::from_secs(seconds);
            assert_eq!((breaker.admits(at), breaker.sends(at)), (1, Some(true)));
            assert_eq!((breaker.admits(at), breaker.sends(at)), (0, None), "one probe at a time");
            assert_eq!(breaker.failed(true, at), Some(Turn::StillOpen));
        }
        at += PAUSE_CAP;
        assert_eq!(breaker.sends(at), Some(true));
        breaker.untried(true, at);
        assert_eq!(breaker.sends(at), Some(true), "a probe that had nothing to send is followed by another");
        assert_eq!(breaker.succeeded(), Some(Turn::Closed));
        assert_eq!((breaker.admits(at), breaker.sends(at), breaker.pause()), (usize::MAX, Some(false), FIRST_PAUSE));
    }

    #[tokio::test]
    async fn what_another_dispatcher_sees_opens_and_closes_it_but_ends_no_probe() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.opened_elsewhere(now);
        assert_eq!((breaker.admits(now), breaker.sends(now)), (0, None));
        let later = now + FIRST_PAUSE;
        assert_eq!(breaker.sends(later), Some(true));
        breaker.opened_elsewhere(later);
        breaker.closed_elsewhere();
        assert_eq!(breaker.sends(later), None, "the probe is still out");
        assert_eq!(breaker.failed(true, later), Some(Turn::StillOpen));
        breaker.closed_elsewhere();
        assert_eq!(breaker.sends(later), Some(false));
    }
}
