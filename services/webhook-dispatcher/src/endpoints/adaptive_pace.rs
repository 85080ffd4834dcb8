//! The pace at which a receiver takes events, learned from its answers. Pure.
//!
//! Without a complaint there is no pace. A receiver that has no room (429, or 503 with `Retry-After`) pauses its endpoint;
//! after the pause the pace is a part of what the receiver accepted before, and rises with each accepted event
//! (additive increase, multiplicative decrease, as in TCP). After an outage the pace starts small and doubles each
//! second, so that the backlog does not fall on a receiver that has just started.
//!
//! Each dispatcher learns its own pace; they share the pauses.

use crate::delivery::result::EndpointVerdict;
use kurir_chassis::backoff::Backoff;
use std::time::Duration;
use tokio::time::Instant;

/// What is left of the pace after a complaint. A lower factor costs throughput at each complaint, a higher one causes
/// more complaints.
const DECREASE: f64 = 0.7;
/// How much the pace rises in a second, as a part of the pace after the last complaint: the old pace is reached again
/// after four seconds.
const INCREASE: f64 = 0.1;
/// The smallest rise, in events per second.
const MIN_INCREASE: f64 = 0.5;
/// The lowest pace: one event in 20 s.
const MIN_PACE: f64 = 0.05;
/// A pace above this does not limit anything.
const MAX_PACE: f64 = 5_000.0;
/// The pace after an outage.
const PACE_AFTER_OUTAGE: f64 = 10.0;
/// What may be sent at once after a pause in the traffic: the events of a quarter of a second, and at least one.
const BURST_SECONDS: f64 = 0.25;
/// The pauses of a receiver that does not say how long it has no room.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

#[derive(Debug, Default)]
pub struct AdaptivePace {
    paused_until: Option<Instant>,
    /// Pauses since an event was accepted.
    pauses: u32,
    rate: Option<EventRate>,
    accepted: AcceptedCount,
}

#[derive(Debug)]
struct EventRate {
    per_second: f64,
    /// Below this rate the receiver had no complaint: the rate doubles each second until it is reached.
    doubles_until: f64,
    /// The rise in a second above it.
    increase: f64,
    tokens: f64,
    filled: Instant,
}

/// Counts the accepted events of the present second and of the one before.
#[derive(Debug, Default)]
struct AcceptedCount {
    second: Option<Instant>,
    now: u32,
    before: u32,
}

impl AdaptivePace {
    /// How many requests may be sent now.
    pub fn available(&mut self, now: Instant) -> usize {
        match self.paused_until {
            Some(until) if now < until => return 0,
            Some(_) => self.paused_until = None,
            None => {}
        }
        self.rate.as_mut().map_or(usize::MAX, |rate| rate.available(now))
    }

    /// Whether nothing may be sent now.
    #[must_use]
    pub fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    /// Takes the next place for a request. Gives the time to wait before it is sent.
    pub fn reserve(&mut self, now: Instant) -> Duration {
        self.available(now);
        let Some(rate) = &mut self.rate else { return Duration::ZERO };
        rate.tokens -= 1.0;
        Duration::from_secs_f64((-rate.tokens / rate.per_second).max(0.0))
    }

    /// Returns a token: there was no request after all.
    pub fn refund(&mut self) {
        self.rate.iter_mut().for_each(|rate| rate.tokens += 1.0);
    }

    /// Records a delivery's verdict. Gives the pause that begins with it, for the other dispatchers.
    pub fn record(&mut self, verdict: &EndpointVerdict, now: Instant) -> Option<Duration> {
        match verdict {
            EndpointVerdict::Succeeded => {
                self.record_accepted(now);
                None
            }
            EndpointVerdict::Busy { pause, .. } => self.record_busy(*pause, now),
            EndpointVerdict::Failed { .. } | EndpointVerdict::Gone { .. } | EndpointVerdict::Untried => None,
        }
    }

    /// Starts with a small pace: the receiver is back after an outage.
    pub fn restart(&mut self, now: Instant) {
        self.rate.get_or_insert(EventRate::new(PACE_AFTER_OUTAGE, f64::INFINITY, now));
    }

    /// Pauses because another dispatcher was asked to.
    pub fn pause_until(&mut self, until: Instant) {
        if self.paused_until.is_none_or(|before| before < until) {
            self.paused_until = Some(until);
        }
        if let Some(rate) = &mut self.rate {
            rate.restart_at(until);
        }
    }

    fn record_accepted(&mut self, now: Instant) {
        self.accepted.add(now);
        self.pauses = 0;
        let Some(rate) = &mut self.rate else { return };
        rate.per_second +=
            if rate.per_second < rate.doubles_until { 1.0 } else { rate.increase / rate.per_second.max(1.0) };
        if rate.per_second > MAX_PACE {
            self.rate = None;
        }
    }

    fn record_busy(&mut self, asked: Option<Duration>, now: Instant) -> Option<Duration> {
        let asked = asked.filter(|pause| !pause.is_zero());
        if self.is_paused(now) {
            // It was sent before the pause began. Only a longer pause is news.
            let until = now + asked?;
            let is_longer = self.paused_until.is_some_and(|before| until > before + Duration::from_secs(1));
            return is_longer.then(|| {
                self.pause_until(until);
                until - now
            });
        }
        let pause = asked.unwrap_or_else(|| PAUSES.pause_after(self.pauses));
        self.pauses = self.pauses.saturating_add(1);
        let accepted = self.accepted.per_second(now);
        let (pace, doubles_until) = match &self.rate {
            Some(rate) => (rate.per_second * DECREASE, 0.0),
            None if accepted > 0 => (f64::from(accepted) * DECREASE, 0.0),
            // Nothing is known about it yet.
            None => (1.0, f64::INFINITY),
        };
        self.rate = Some(EventRate::new(pace.max(MIN_PACE), doubles_until, now));
        self.pause_until(now + pause);
        Some(pause)
    }
}

impl EventRate {
    fn new(per_second: f64, doubles_until: f64, now: Instant) -> Self {
        let increase = (per_second * INCREASE).max(MIN_INCREASE);
        Self { per_second, doubles_until, increase, tokens: 1.0, filled: now }
    }

    fn available(&mut self, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        let most = (self.per_second * BURST_SECONDS).max(1.0);
        self.tokens = (self.tokens + self.per_second * passed).min(most);
        self.filled = self.filled.max(now);
        self.tokens.max(0.0) as usize
    }

    /// Collects nothing until then.
    fn restart_at(&mut self, at: Instant) {
        self.tokens = self.tokens.min(1.0);
        self.filled = self.filled.max(at);
    }
}

impl AcceptedCount {
    fn add(&mut self, now: Instant) {
        self.move_to(now);
        self.now += 1;
    }

    /// What was accepted in a second, lately.
    fn per_second(&mut self, now: Instant) -> u32 {
        self.move_to(now);
        self.now.max(self.before)
    }

    fn move_to(&mut self, now: Instant) {
        const SECOND: Duration = Duration::from_secs(1);
        let second = *self.second.get_or_insert(now);
        let passed = now.saturating_duration_since(second);
        if passed >= SECOND {
            self.before = if passed < 2 * SECOND { self.now } else { 0 };
            self.now = 0;
            self.second = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(seconds: Option<u64>) -> EndpointVerdict {
        EndpointVerdict::Busy { reason: String::new(), pause: seconds.map(Duration::from_secs) }
    }

    /// A receiver that accepts a number of events in each second and refuses the rest.
    struct Limited {
        per_second: u32,
        accepted: u32,
        second: u64,
    }

    impl Limited {
        fn answer(&mut self, at: Duration) -> EndpointVerdict {
            if at.as_secs() != self.second {
                (self.second, self.accepted) = (at.as_secs(), 0);
            }
            self.accepted += 1;
            if self.accepted > self.per_second { busy(Some(1)) } else { EndpointVerdict::Succeeded }
        }
    }

    #[tokio::test]
    async fn without_a_complaint_there_is_no_pace() {
        let now = Instant::now();
        let mut pace = AdaptivePace::default();
        for _ in 0..10_000 {
            pace.record(&EndpointVerdict::Succeeded, now);
            pace.reserve(now);
        }
        assert_eq!(pace.available(now), usize::MAX);
    }

    #[tokio::test]
    async fn it_finds_the_pace_of_its_receiver_whatever_that_is() {
        for limit in [1, 5, 50, 800] {
            let begun = Instant::now();
            let mut receiver = Limited { per_second: limit, accepted: 0, second: 0 };
            let (mut pace, mut accepted, mut refused) = (AdaptivePace::default(), 0_u32, 0_u32);
            for step in 0..60_000_u64 {
                let at = Duration::from_millis(step);
                // At most one in a millisecond, 64 at the beginning.
                let most = if step == 0 { 64 } else { 1 };
                for _ in 0..pace.available(begun + at).min(most) {
                    if pace.is_paused(begun + at) {
                        break;
                    }
                    pace.reserve(begun + at);
                    let verdict = receiver.answer(at);
                    if verdict == EndpointVerdict::Succeeded {
                        accepted += 1
                    } else {
                        refused += 1
                    }
                    pace.record(&verdict, begun + at);
                }
            }
            assert!(accepted > limit * 60 * 55 / 100, "{accepted} of {} at {limit}", limit * 60);
            assert!(refused < 64 + 60, "{refused} complaints at {limit}");
        }
    }

    #[tokio::test]
    async fn a_pause_is_as_long_as_it_was_asked_for_and_told_once() {
        let now = Instant::now();
        let seconds = Duration::from_secs;
        let mut pace = AdaptivePace::default();
        assert_eq!(pace.record(&busy(Some(10)), now), Some(seconds(10)));
        assert_eq!(pace.record(&busy(Some(10)), now), None, "it was sent before");
        assert_eq!(pace.record(&busy(None), now), None);
        assert_eq!((pace.available(now + seconds(9)), pace.available(now + seconds(10))), (0, 1));
        assert_eq!(pace.record(&busy(Some(5)), now + seconds(10)), Some(seconds(5)));
        assert_eq!(pace.record(&busy(Some(60)), now + seconds(11)), Some(seconds(60)), "a longer one is news");
        assert_eq!(pace.available(now + seconds(70)), 0);
    }

    #[tokio::test]
    async fn a_receiver_that_names_no_time_is_asked_ever_more_rarely() {
        let (mut now, mut pace) = (Instant::now(), AdaptivePace::default());
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(pace.record(&busy(Some(0)), now), Some(pause));
            now += pause;
        }
        pace.record(&EndpointVerdict::Succeeded, now);
        assert_eq!(pace.record(&busy(None), now), Some(Duration::from_secs(1)));
    }

    #[tokio::test]
    async fn after_an_outage_it_starts_small_and_soon_has_no_limit() {
        let begun = Instant::now();
        let mut pace = AdaptivePace::default();
        pace.restart(begun);
        let mut in_seconds = [0_u32; 12];
        for step in 0..12_000_u64 {
            let now = begun + Duration::from_millis(step);
            for _ in 0..pace.available(now).min(10) {
                pace.reserve(now);
                pace.record(&EndpointVerdict::Succeeded, now);
                in_seconds[step as usize / 1_000] += 1;
            }
        }
        assert!((8..40).contains(&in_seconds[0]), "{in_seconds:?}");
        assert_eq!(pace.available(begun + Duration::from_secs(12)), usize::MAX, "{in_seconds:?}");
    }
}
