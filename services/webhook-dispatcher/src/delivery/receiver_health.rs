//! Tells an outage of the receiver from the failure of one event. Pure.
//!
//! A receiver that cannot be reached fails for every event. As long as it accepts nothing else, such a failure counts as
//! an outage: the event keeps its scheduled attempts, and then waits until the receiver is back. A request that was sent
//! and not answered is ambiguous: it counts as an outage when several different events in a row end so. An answer of the
//! receiver's own, and a failure while the receiver accepts other events, is the failure of the event.

use crate::delivery::failure_kind::FailureKind;
use std::time::Duration;
use tokio::time::Instant;

/// Different events in a row without an answer: then the receiver is away, and not one event too much for it.
const SILENT_EVENTS: usize = 3;
/// An event that another event was accepted after, within this time at most, fails by itself. Longer pauses between two
/// attempts say nothing: the receiver may have gone away since.
const ACCEPTED_WINDOW: Duration = Duration::from_secs(30);
/// The shortest and the longest pause between two probes of a receiver that is away.
const PROBE_PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// What the attempts of one dispatcher say about a receiver.
#[derive(Debug, Default)]
pub struct ReceiverHealth {
    accepted_at: Option<Instant>,
    away_since: Option<Instant>,
    /// Sequences of the events that ended without an answer, in a row.
    silent: Vec<u64>,
}

/// The receiver is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverOutage {
    /// The pause until the next probe: a tenth of the outage, so that an outage is noticed to be over within a tenth of
    /// its length.
    pub probe_pause: Duration,
}

impl ReceiverHealth {
    /// Records that the receiver accepted an event.
    pub fn record_accepted(&mut self, now: Instant) {
        *self = Self { accepted_at: Some(now), ..Self::default() };
    }

    /// Whether a failure is a part of an outage. `sequence`: the event's. `since_last_attempt`: how long ago this event
    /// was tried before; zero for a first attempt.
    pub fn judge(
        &mut self,
        kind: FailureKind,
        sequence: u64,
        since_last_attempt: Duration,
        now: Instant,
    ) -> Option<ReceiverOutage> {
        match kind {
            // The receiver answered by itself.
            FailureKind::Busy | FailureKind::Event => {
                self.away_since = None;
                self.silent.clear();
                return None;
            }
            FailureKind::Away => self.silent.clear(),
            FailureKind::Silent => {
                if !self.silent.contains(&sequence) && self.silent.len() < SILENT_EVENTS {
                    self.silent.push(sequence);
                }
                if self.silent.len() < SILENT_EVENTS && self.away_since.is_none() {
                    return None;
                }
            }
        }
        let window = since_last_attempt.min(ACCEPTED_WINDOW);
        if self.accepted_at.is_some_and(|accepted| now.saturating_duration_since(accepted) < window) {
            return None;
        }
        let away_since = *self.away_since.get_or_insert(now);
        let (shortest, longest) = PROBE_PAUSE;
        Some(ReceiverOutage { probe_pause: (now.saturating_duration_since(away_since) / 10).clamp(shortest, longest) })
    }

    /// Whether the receiver is away, as far as the last attempt says.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.away_since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::ZERO;

    #[tokio::test]
    async fn an_unreachable_receiver_is_away_until_it_answers() {
        let now = Instant::now();
        for answer in [FailureKind::Busy, FailureKind::Event] {
            let mut health = ReceiverHealth::default();
            assert!(health.judge(FailureKind::Away, 1, NEVER, now).is_some() && health.is_away());
            assert_eq!(health.judge(answer, 1, NEVER, now), None);
            assert!(!health.is_away());
        }
        let mut health = ReceiverHealth::default();
        health.judge(FailureKind::Away, 1, NEVER, now);
        health.record_accepted(now);
        assert!(!health.is_away());
    }

    #[tokio::test]
    async fn a_failure_while_others_are_accepted_is_the_events_own() {
        let begun = Instant::now();
        let mut health = ReceiverHealth::default();
        health.record_accepted(begun);
        let now = begun + Duration::from_secs(5);
        // Before the event's last attempt: it says nothing about the time since.
        assert!(health.judge(FailureKind::Away, 1, Duration::from_secs(4), now).is_some());
        assert_eq!(health.judge(FailureKind::Away, 1, Duration::from_secs(8), now), None);
        // After hours, a receiver that has just gone away is away.
        let later = begun + Duration::from_secs(31);
        assert!(health.judge(FailureKind::Away, 1, Duration::from_secs(36_000), later).is_some());
    }

    #[tokio::test]
    async fn silence_counts_as_an_outage_when_three_different_events_end_so_in_a_row() {
        let now = Instant::now();
        let mut health = ReceiverHealth::default();
        for sequence in [1, 1, 1, 2, 1, 2] {
            assert_eq!(health.judge(FailureKind::Silent, sequence, NEVER, now), None, "{sequence}");
        }
        health.judge(FailureKind::Event, 9, NEVER, now);
        for (sequence, outage) in [(1, false), (2, false), (3, true), (1, true)] {
            assert_eq!(health.judge(FailureKind::Silent, sequence, NEVER, now).is_some(), outage, "{sequence}");
        }
        health.record_accepted(now);
        assert_eq!(health.judge(FailureKind::Silent, 4, NEVER, now), None);
    }

    #[tokio::test]
    async fn the_longer_it_is_away_the_rarer_the_probes() {
        let begun = Instant::now();
        let mut health = ReceiverHealth::default();
        for (seconds, pause) in [(0, 2), (10, 2), (60, 6), (300, 30), (6_000, 60)] {
            let outage = health.judge(FailureKind::Away, 1, NEVER, begun + Duration::from_secs(seconds)).unwrap();
            assert_eq!(outage.probe_pause, Duration::from_secs(pause), "after {seconds} s");
        }
    }
}
