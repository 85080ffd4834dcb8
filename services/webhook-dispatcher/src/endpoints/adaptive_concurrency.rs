//! How many requests a receiver is sent at once, learned from its answers. Pure.
//!
//! It starts small and grows while the answers stay quick, up to the endpoint's limit; it shrinks when answers come late,
//! at time-outs, and when the receiver or its proxy has an error of its own. So a small receiver is not sent more than it
//! can process within the time limit, and a fast one soon gets as much as its limit allows.

use crate::delivery::result::{DeliveryResult, EndpointVerdict};
use std::time::Duration;
use tokio::time::Instant;

/// The concurrency of a receiver that nothing is known about. Receivers that were tried (n8n on one core) process four
/// at once in time.
const START: f64 = 4.0;
/// What is left of the concurrency after a time-out or an error.
const DECREASE: f64 = 0.5;
/// The shortest time between two decreases: requests that were under way at the first one say nothing new.
const DECREASE_INTERVAL: Duration = Duration::from_secs(1);
/// An answer within this part of the time limit is quick: if each event suddenly cost a hundred times as much, what is under way
/// would still end in time.
const QUICK: u32 = 200;
/// An answer that took more than this part of the time limit is late: more at once would exceed the limit.
const LATE: u32 = 2;
/// A receiver that always takes its time is quick, too, if it takes hardly more than at its best: more at once would wait for
/// each other there.
const NEAR_BEST: f64 = 1.5;
/// When no answer was quick for so long, the best time is measured again, with few at once: the receiver may have become
/// slower for another reason. The best time never rises by itself, because it would follow the queue that the requests are.
const MEASURE_AGAIN: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct AdaptiveConcurrency {
    limit: usize,
    window: f64,
    /// Below it every quick answer adds one, above it every round of answers does.
    doubles_until: f64,
    best: Option<Duration>,
    /// Since when no answer was quick.
    slow_since: Option<Instant>,
    /// Requests that began before this moment do not measure: more of them were under way.
    measured_from: Option<Instant>,
    decreased_at: Option<Instant>,
}

impl AdaptiveConcurrency {
    /// `limit`: the endpoint's concurrency.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            window: START,
            doubles_until: f64::INFINITY,
            best: None,
            slow_since: None,
            measured_from: None,
            decreased_at: None,
        }
    }

    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// How many requests may be under way.
    #[must_use]
    pub fn window(&self) -> usize {
        (self.window as usize).clamp(1, self.limit.max(1))
    }

    /// Starts small again: the receiver is back after an outage.
    pub fn restart(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Records how a delivery ended. `timeout`: the time limit of an attempt.
    pub fn record(&mut self, result: &DeliveryResult, timeout: Duration, now: Instant) {
        match &result.verdict {
            EndpointVerdict::Succeeded if result.took * LATE > timeout => self.decrease(now),
            EndpointVerdict::Succeeded => self.record_answer(result.took, timeout, now),
            EndpointVerdict::Failed { overload: true, .. } | EndpointVerdict::Busy { .. } => self.decrease(now),
            EndpointVerdict::Failed { .. } | EndpointVerdict::Gone { .. } | EndpointVerdict::Untried => {}
        }
    }

    fn record_answer(&mut self, took: Duration, timeout: Duration, now: Instant) {
        if self.measured_from.is_some_and(|from| now.saturating_duration_since(from) < took) {
            return;
        }
        let best = self.best.map_or(took, |best| took.min(best));
        self.best = Some(best);
        if took * QUICK > timeout && took > best.mul_f64(NEAR_BEST) {
            let since = *self.slow_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= MEASURE_AGAIN {
                (self.best, self.slow_since, self.measured_from) = (None, None, Some(now));
                self.window = self.window.min(START);
            }
            return;
        }
        self.slow_since = None;
        self.window += if self.window < self.doubles_until { 1.0 } else { 1.0 / self.window };
        self.window = self.window.min(self.limit as f64);
    }

    fn decrease(&mut self, now: Instant) {
        if self.decreased_at.is_some_and(|at| now.saturating_duration_since(at) < DECREASE_INTERVAL) {
            return;
        }
        self.decreased_at = Some(now);
        self.window = (self.window.min(self.limit as f64) * DECREASE).max(1.0);
        self.doubles_until = self.window;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn result(verdict: EndpointVerdict, took: Duration) -> DeliveryResult {
        DeliveryResult { verdict, took, probe: false, retry_stored: false }
    }

    fn failed(overload: bool) -> EndpointVerdict {
        EndpointVerdict::Failed { reason: String::new(), outage: None, overload }
    }

    /// Delivers in rounds to a receiver that takes this long for each request of a round, and gives the window after it.
    fn after_rounds(rounds: u32, takes: impl Fn(usize) -> Duration) -> usize {
        let (mut concurrency, mut now) = (AdaptiveConcurrency::new(64), Instant::now());
        for _ in 0..rounds {
            let window = concurrency.window();
            let took = takes(window);
            now += took;
            for _ in 0..window {
                let verdict = if took > TIMEOUT { failed(true) } else { EndpointVerdict::Succeeded };
                concurrency.record(&result(verdict, took.min(TIMEOUT)), TIMEOUT, now);
            }
        }
        concurrency.window()
    }

    #[tokio::test]
    async fn a_quick_receiver_has_all_of_its_limit_after_sixty_answers() {
        assert_eq!(after_rounds(0, |_| Duration::ZERO), 4);
        assert_eq!(after_rounds(4, |_| Duration::from_millis(5)), 64);
        // It takes its time, but no more of it the more it is sent.
        assert_eq!(after_rounds(4, |_| Duration::from_secs(3)), 64);
    }

    #[tokio::test]
    async fn a_receiver_that_processes_one_after_the_other_is_not_sent_more_than_it_can() {
        for each in [400, 1_000, 4_000] {
            let each = Duration::from_millis(each);
            for rounds in 20..60 {
                let window = after_rounds(rounds, |window| each * window as u32);
                assert!(each * (window as u32) < TIMEOUT, "{window} at once of {each:?} each after {rounds} rounds");
            }
        }
    }

    /// A queue at the receiver is not taken for the receiver's own time, however long it lasts.
    #[tokio::test]
    async fn a_receiver_with_four_workers_is_not_sent_much_more_than_they_take() {
        for each in [20, 50, 200, 1_000] {
            for rounds in [10, 100, 1_000] {
                let takes = |window: usize| Duration::from_millis(each) * (window as u32).div_ceil(4);
                let window = after_rounds(rounds, takes);
                // If every event suddenly cost two seconds.
                let then = Duration::from_secs(2) * (window as u32).div_ceil(4);
                assert!(
                    (4..=20).contains(&window) && then <= TIMEOUT,
                    "{window} at once of {each} ms after {rounds} rounds"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_receiver_that_has_become_slower_is_measured_again() {
        let (mut concurrency, mut now) = (AdaptiveConcurrency::new(64), Instant::now());
        let answer = |concurrency: &mut AdaptiveConcurrency, took, now| {
            concurrency.record(&result(EndpointVerdict::Succeeded, took), TIMEOUT, now);
        };
        answer(&mut concurrency, Duration::from_millis(10), now);
        // It takes three seconds for each, and any number at once.
        for _ in 0..400 {
            now += Duration::from_secs(1);
            answer(&mut concurrency, Duration::from_secs(3), now);
        }
        assert_eq!(concurrency.window(), 64);
    }

    #[tokio::test]
    async fn errors_of_the_receiver_halve_it_once_and_answers_about_an_event_do_not() {
        let (mut concurrency, now) = (AdaptiveConcurrency::new(64), Instant::now());
        for _ in 0..100 {
            concurrency.record(&result(EndpointVerdict::Succeeded, Duration::ZERO), TIMEOUT, now);
        }
        for _ in 0..50 {
            concurrency.record(&result(failed(false), Duration::ZERO), TIMEOUT, now);
        }
        assert_eq!(concurrency.window(), 64);
        for _ in 0..50 {
            concurrency.record(&result(failed(true), Duration::ZERO), TIMEOUT, now);
        }
        assert_eq!(concurrency.window(), 32);
        concurrency.set_limit(8);
        assert_eq!(concurrency.window(), 8);
        for round in 1..20 {
            concurrency.record(&result(failed(true), Duration::ZERO), TIMEOUT, now + round * DECREASE_INTERVAL);
        }
        assert_eq!(concurrency.window(), 1, "one is always possible");
    }
}
