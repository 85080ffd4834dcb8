//! What one endpoint takes from one consumer: never more than can be delivered at once. Pure.
//!
//! A message that lies in a client's buffer is nobody else's until `ack_wait` has passed, and costs its receiver a
//! second delivery if its turn comes later than that. So there is no buffer. What was asked for and never came (the
//! connection broke, the consumer was deleted, NATS forgot) shows itself as silence or trouble; then the line asks anew.

use crate::{endpoint::Endpoint, jetstream::consumer::PullSource};
use std::time::Duration;
use tokio::time::Instant;

/// How long NATS keeps a request, and how often it says that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullPace {
    pub expires: Duration,
    pub heartbeat: Duration,
}

/// A further request is made when at least half of the slots wait for it: with quarters, NATS takes a tenth more CPU
/// time for each event.
const CHUNKS: usize = 2;
/// Beyond so many lines they are paced slowly, or an idle dispatcher of 10,000 endpoints would hear 2,000 heartbeats a
/// second.
const MANY_LINES: usize = 200;
/// The pause before the first and before each further try to mend a line that does not work.
const MEND_PAUSE: Duration = Duration::from_millis(50);
const MEND_PAUSE_CAP: Duration = Duration::from_secs(5);

impl PullPace {
    #[must_use]
    pub fn of(budgets: usize) -> Self {
        let seconds = |expires, heartbeat| Self {
            expires: Duration::from_secs(expires),
            heartbeat: Duration::from_secs(heartbeat),
        };
        if budgets > MANY_LINES { seconds(300, 60) } else { seconds(30, 5) }
    }

    /// Two heartbeats missed and some patience: the request is lost.
    fn silence(self) -> Duration {
        2 * self.heartbeat + Duration::from_secs(1)
    }
}

pub struct PullBudget {
    pub source: PullSource,
    /// Its consumer's name.
    pub consumer: String,
    pub capacity: usize,
    /// Its consumer is there.
    pub open: bool,
    pub generation: u64,
    /// Messages that were asked for and have not come.
    asked: usize,
    in_delivery: usize,
    heard: Instant,
    pace: PullPace,
    mend_pause: Duration,
}

impl PullBudget {
    #[must_use]
    pub fn new(endpoint: &Endpoint, source: PullSource, now: Instant) -> Self {
        Self {
            source,
            consumer: source.consumer(&endpoint.id),
            capacity: source.concurrency(endpoint),
            open: false,
            generation: 0,
            asked: 0,
            in_delivery: 0,
            heard: now,
            pace: PullPace::of(1),
            mend_pause: MEND_PAUSE,
        }
    }

    /// How many messages to ask for now. `most`: what its limits allow beyond what is in delivery. Not for each slot at
    /// once: a request for several costs NATS as much as one for one.
    #[must_use]
    pub fn wanted(&self, most: usize) -> usize {
        let wanted = (self.capacity.saturating_sub(self.in_delivery)).min(most).saturating_sub(self.asked);
        if self.open && (self.asked == 0 || wanted >= self.capacity.div_ceil(CHUNKS)) { wanted } else { 0 }
    }

    pub fn asked(&mut self, wanted: usize, pace: PullPace, now: Instant) {
        if self.asked == 0 {
            // Nothing was to be heard while nothing was asked for.
            self.heard = now;
        }
        self.asked += wanted;
        self.pace = pace;
    }

    pub fn arrived(&mut self, now: Instant) {
        self.asked = self.asked.saturating_sub(1);
        self.heard = now;
        self.mend_pause = MEND_PAUSE;
    }

    #[must_use]
    pub fn has_room(&self) -> bool {
        self.in_delivery < self.capacity
    }

    pub fn begins(&mut self) {
        self.in_delivery += 1;
    }

    pub fn ends(&mut self) {
        self.in_delivery = self.in_delivery.saturating_sub(1);
    }

    /// Nothing of it is in delivery.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_delivery == 0
    }

    pub fn heartbeat(&mut self, now: Instant) {
        self.heard = now;
    }

    pub fn expired(&mut self, unserved: usize, now: Instant) {
        self.asked = self.asked.saturating_sub(unserved);
        self.heard = now;
    }

    #[must_use]
    pub fn is_silent(&self, now: Instant) -> bool {
        self.open && self.asked > 0 && now.duration_since(self.heard) > self.pace.silence()
    }

    /// All that was asked for is lost.
    pub fn lost(&mut self, now: Instant) {
        self.generation += 1;
        self.asked = 0;
        self.heard = now;
    }

    /// It asks for nothing until its consumer was seen again; gives how long to wait before looking.
    pub fn breaks(&mut self, now: Instant) -> Duration {
        self.lost(now);
        self.open = false;
        let pause = self.mend_pause;
        self.mend_pause = (pause * 2).min(MEND_PAUSE_CAP);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use clap::Parser as _;

    fn budget(capacity: usize) -> (PullBudget, Instant) {
        let now = Instant::now();
        let config = Config::try_parse_from([
            "kurir-webhook-dispatcher",
            "--webhook-url=http://localhost/",
            "--webhook-concurrency",
            &capacity.to_string(),
        ]);
        let endpoint = config.unwrap().endpoints().remove(0);
        let mut budget = PullBudget::new(&endpoint, PullSource::Events, now);
        assert_eq!(budget.wanted(usize::MAX), 0, "its consumer is not there yet");
        budget.open = true;
        (budget, now)
    }

    #[tokio::test]
    async fn a_line_never_asks_for_more_than_it_can_deliver() {
        let (mut budget, now) = budget(8);
        assert_eq!(budget.wanted(usize::MAX), 8);
        assert_eq!(budget.wanted(3), 3);
        budget.asked(8, PullPace::of(1), now);
        assert_eq!(budget.wanted(usize::MAX), 0);
        for _ in 0..8 {
            budget.arrived(now);
            budget.begins();
        }
        assert_eq!(budget.wanted(usize::MAX), 0);
        budget.ends();
        assert_eq!(budget.wanted(usize::MAX), 1, "nothing is asked for, so one slot is enough");
        budget.asked(1, PullPace::of(1), now);
        budget.ends();
        assert_eq!(budget.wanted(usize::MAX), 0, "one more is not worth a request");
        (0..3).for_each(|_| budget.ends());
        assert_eq!(budget.wanted(usize::MAX), 4, "half of the slots are");
        budget.expired(1, now);
        assert_eq!(budget.wanted(usize::MAX), 5);
    }

    #[tokio::test]
    async fn silence_is_noticed_only_where_something_was_asked_for() {
        let (mut budget, now) = budget(8);
        let later = now + Duration::from_secs(12);
        assert!(!budget.is_silent(later));
        budget.asked(8, PullPace::of(1), now);
        assert!(budget.is_silent(later));
        budget.heartbeat(later);
        assert!(!budget.is_silent(later));
        budget.lost(later);
        assert_eq!((budget.wanted(usize::MAX), budget.generation), (8, 1));
    }

    #[tokio::test]
    async fn a_line_that_does_not_work_is_mended_at_growing_pauses() {
        let (mut budget, now) = budget(1);
        let pauses: Vec<u128> = (0..9).map(|_| budget.breaks(now).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        budget.arrived(now);
        assert_eq!(budget.breaks(now), MEND_PAUSE);
    }
}
