//! The limit of an endpoint's requests per second, shared by the dispatchers. Pure.
//!
//! Requests are spread over the second; at high rates a tenth of them may go at once. Each request has its place in time: one
//! that comes too early is told how long to wait.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// The shortest time in which the number of requests is limited. With some requests at once, a high rate needs no timer
/// for each of them.
const BURST_WITHIN: Duration = Duration::from_millis(100);
/// Below this rate, in requests per second, each request is kept apart from the next: with so few in a tenth of a second,
/// rounding would cost too much.
const BURST_FROM: f64 = 100.0;
/// Messages are requested for places so far ahead: a request takes its time.
const LOOKAHEAD: Duration = Duration::from_millis(250);

pub struct RateLimit {
    per_second: f64,
    /// When the last requests were sent, or are to be sent: as many as may be sent at once.
    sent: VecDeque<Instant>,
}

/// How many requests may be sent within which time.
struct Burst {
    most: usize,
    within: Duration,
}

impl RateLimit {
    #[must_use]
    pub fn new(per_second: f64) -> Self {
        Self { per_second, sent: VecDeque::new() }
    }

    /// The limit after a change of the endpoint. What was sent before it counts.
    #[must_use]
    pub fn changed(before: Option<Self>, per_second: Option<f64>) -> Option<Self> {
        let per_second = per_second?;
        Some(before.map_or_else(|| Self::new(per_second), |before| Self { per_second, ..before }))
    }

    /// How many messages to request now: those that can be sent soon. `sharers`: the dispatchers that share the limit;
    /// none if that is not known yet.
    #[must_use]
    pub fn available(&self, sharers: Option<usize>, now: Instant) -> usize {
        let Some(sharers) = sharers else { return 0 };
        let Burst { most, within } = self.burst(sharers);
        let (until, next) = (now + LOOKAHEAD, now + self.wait(sharers, now));
        if next > until {
            return 0;
        }
        most * (1 + (until.duration_since(next).as_nanos() / within.as_nanos().max(1)) as usize)
    }

    /// How long the next request has to wait from now on.
    #[must_use]
    pub fn wait(&self, sharers: usize, now: Instant) -> Duration {
        let Burst { most, within } = self.burst(sharers);
        let earlier = self.sent.len().checked_sub(most).and_then(|index| self.sent.get(index));
        earlier.map_or(Duration::ZERO, |earlier| (*earlier + within).saturating_duration_since(now))
    }

    /// Takes the next place for a request. Gives the time to wait before it is sent.
    pub fn reserve(&mut self, sharers: usize, now: Instant) -> Duration {
        let wait = self.wait(sharers, now);
        self.sent.push_back(now + wait);
        while self.sent.len() > self.burst(sharers).most {
            self.sent.pop_front();
        }
        wait
    }

    /// Returns the last place: there was no request after all.
    pub fn refund(&mut self) {
        self.sent.pop_back();
    }

    fn burst(&self, sharers: usize) -> Burst {
        let rate = self.per_second / sharers.max(1) as f64;
        if rate < BURST_FROM {
            return Burst { most: 1, within: Duration::from_secs_f64(1.0 / rate) };
        }
        Burst { most: (rate * BURST_WITHIN.as_secs_f64()) as usize, within: BURST_WITHIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_second_has_more_than_the_rate_and_no_place_is_given_away(
            rate in 1_u32..500, steps in prop::collection::vec(0_u64..60, 60)
        ) {
            let (mut now, mut limit) = (Instant::now(), RateLimit::new(f64::from(rate)));
            let mut sent = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                for _ in 0..limit.available(Some(1), now).min(50) {
                    sent.push(now + limit.reserve(1, now));
                }
                prop_assert!(sent.last().is_none_or(|last| *last < now + 2 * LOOKAHEAD + Duration::from_secs(1)));
            }
            prop_assert!(sent.is_sorted());
            for (index, from) in sent.iter().enumerate() {
                let second = *from + Duration::from_micros(999_900);
                let in_second = sent[index..].iter().take_while(|at| **at < second).count();
                prop_assert!(in_second <= rate as usize, "{in_second} at {rate}");
            }
        }

        #[test]
        fn those_who_share_it_keep_it_together(rate in 1_u32..200, sharers in 1_usize..8) {
            let now = Instant::now();
            let mut in_second = 0;
            for _ in 0..sharers {
                let mut limit = RateLimit::new(f64::from(rate));
                let places = (0..rate).map(|_| limit.reserve(sharers, now));
                in_second += places.filter(|wait| *wait < Duration::from_micros(999_900)).count();
            }
            // Each has the right to the first moment.
            prop_assert!(in_second <= rate as usize + sharers, "{in_second} at {rate} by {sharers}");
        }
    }

    #[tokio::test]
    async fn a_slow_rate_lets_one_go_at_a_time() {
        let now = Instant::now();
        let mut limit = RateLimit::new(0.5);
        assert_eq!((limit.available(None, now), limit.available(Some(1), now)), (0, 1));
        assert_eq!(limit.reserve(1, now), Duration::ZERO);
        assert_eq!(limit.available(Some(1), now + Duration::from_secs(1)), 0);
        assert_eq!(limit.reserve(1, now + Duration::from_secs(1)), Duration::from_secs(1));
        limit.refund();
        assert_eq!(limit.available(Some(1), now + Duration::from_secs(60)), 1);
    }
}
