//! The limit of an endpoint's requests per second. Pure: a token bucket that fills with time.

use std::time::Duration;
use tokio::time::Instant;

/// What may be sent at once after a pause: the requests of a quarter of a second, and at least one.
const BURST: Duration = Duration::from_millis(250);

pub struct RateLimit {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    #[must_use]
    pub fn new(per_second: f64, now: Instant) -> Self {
        Self { per_second, tokens: 1.0, filled: now }
    }

    /// How many requests may be sent now. `sharers`: the dispatchers that share the limit.
    pub fn available(&mut self, sharers: usize, now: Instant) -> usize {
        let rate = self.per_second / sharers.max(1) as f64;
        let most = (rate * BURST.as_secs_f64()).max(1.0);
        self.tokens = (self.tokens + rate * now.duration_since(self.filled).as_secs_f64()).min(most);
        self.filled = now;
        self.tokens.max(0.0) as usize
    }

    pub fn spend(&mut self) {
        self.tokens -= 1.0;
    }

    /// Returns a token: there was no request after all.
    pub fn refund(&mut self) {
        self.tokens += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_more_go_than_the_rate_and_one_burst(
            rate in 0.01_f64..1_000.0, sharers in 1_usize..8, steps in prop::collection::vec(0_u64..500, 1..200)
        ) {
            let mut now = Instant::now();
            let (begun, mut limit, mut gone) = (now, RateLimit::new(rate, now), 0);
            for step in steps {
                now += Duration::from_millis(step);
                for _ in 0..limit.available(sharers, now) {
                    limit.spend();
                    gone += 1;
                }
                let share = rate / sharers as f64;
                let allowed = share * now.duration_since(begun).as_secs_f64() + (share * BURST.as_secs_f64()).max(1.0);
                prop_assert!(f64::from(gone) <= allowed + 0.001, "{gone} of {allowed}");
            }
        }
    }

    #[tokio::test]
    async fn a_slow_rate_lets_one_go_at_a_time() {
        let now = Instant::now();
        let mut limit = RateLimit::new(0.5, now);
        assert_eq!(limit.available(1, now), 1);
        limit.spend();
        assert_eq!(limit.available(1, now + Duration::from_secs(1)), 0);
        assert_eq!(limit.available(1, now + Duration::from_secs(60)), 1);
    }
}
