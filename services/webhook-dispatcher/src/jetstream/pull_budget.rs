//! How many messages an endpoint requests from a consumer: never more than it can deliver at once. Pure.
//!
//! A message in a client's buffer is kept from other dispatchers until `ack_wait` has passed, and is then delivered
//! twice. So there is no buffer. A request that is lost (the connection broke, the consumer was deleted, NATS
//! restarted) shows itself as silence or as a status; then the messages are requested again.

use crate::{endpoint::Endpoint, jetstream::consumer::PullSource};
use kurir_chassis::backoff::{Backoff, BackoffPauses};
use std::time::Duration;
use tokio::time::Instant;

/// How long NATS keeps a request, and how often it sends a heartbeat for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullPace {
    pub expires: Duration,
    pub heartbeat: Duration,
}

/// A further request is made when at least half of the capacity is free. With quarters, NATS takes a tenth more CPU
/// time for each event.
const REQUESTS_PER_CAPACITY: usize = 2;
/// Beyond this number of pulls the pace is slow: an idle dispatcher of 10,000 endpoints would hear 2,000 heartbeats a
/// second.
const MANY_PULLS: usize = 200;
/// The waits before a pull that does not work is tried again.
const REPAIR_BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

impl PullPace {
    #[must_use]
    pub fn for_pulls(pulls: usize) -> Self {
        let seconds = |expires, heartbeat| Self {
            expires: Duration::from_secs(expires),
            heartbeat: Duration::from_secs(heartbeat),
        };
        if pulls > MANY_PULLS { seconds(300, 60) } else { seconds(30, 5) }
    }

    /// After two missed heartbeats and one second the request counts as lost.
    fn silence_limit(self) -> Duration {
        2 * self.heartbeat + Duration::from_secs(1)
    }
}

pub struct PullBudget {
    pub source: PullSource,
    /// The name of the consumer.
    pub consumer: String,
    pub capacity: usize,
    /// Whether the consumer exists.
    pub open: bool,
    pub generation: u64,
    /// Requested messages that have not come.
    requested: usize,
    in_delivery: usize,
    last_heard: Instant,
    pace: PullPace,
    repair_pauses: BackoffPauses,
}

impl PullBudget {
    #[must_use]
    pub fn new(endpoint: &Endpoint, source: PullSource, now: Instant) -> Self {
        Self {
            source,
            consumer: source.consumer_name(&endpoint.id),
            capacity: source.share_of(endpoint.concurrency),
            open: false,
            generation: 0,
            requested: 0,
            in_delivery: 0,
            last_heard: now,
            pace: PullPace::for_pulls(1),
            repair_pauses: REPAIR_BACKOFF.pauses(),
        }
    }

    /// How many messages to request now. `most` is what the endpoint's limits allow, those in delivery included. A
    /// request for several messages costs NATS as much as one for one, so free capacity is collected first.
    #[must_use]
    pub fn wanted(&self, most: usize) -> usize {
        let wanted = (self.capacity.saturating_sub(self.in_delivery)).min(most).saturating_sub(self.requested);
        if self.open && (self.requested == 0 || wanted >= self.capacity.div_ceil(REQUESTS_PER_CAPACITY)) {
            wanted
        } else {
            0
        }
    }

    pub fn record_request(&mut self, wanted: usize, pace: PullPace, now: Instant) {
        if self.requested == 0 {
            // Without a request there was nothing to hear.
            self.last_heard = now;
        }
        self.requested += wanted;
        self.pace = pace;
    }

    pub fn record_message(&mut self, now: Instant) {
        self.requested = self.requested.saturating_sub(1);
        self.last_heard = now;
        self.repair_pauses.reset();
    }

    #[must_use]
    pub fn has_room(&self) -> bool {
        self.in_delivery < self.capacity
    }

    pub fn begin_delivery(&mut self) {
        self.in_delivery += 1;
    }

    pub fn end_delivery(&mut self) {
        self.in_delivery = self.in_delivery.saturating_sub(1);
    }

    /// Whether nothing is in delivery.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_delivery == 0
    }

    pub fn record_heartbeat(&mut self, now: Instant) {
        self.last_heard = now;
    }

    pub fn record_expiry(&mut self, unserved: usize, now: Instant) {
        self.requested = self.requested.saturating_sub(unserved);
        self.last_heard = now;
    }

    #[must_use]
    pub fn is_silent(&self, now: Instant) -> bool {
        self.open && self.requested > 0 && now.duration_since(self.last_heard) > self.pace.silence_limit()
    }

    /// Counts all requests as lost.
    pub fn drop_requests(&mut self, now: Instant) {
        self.generation += 1;
        self.requested = 0;
        self.last_heard = now;
    }

    /// Requests nothing until the consumer was seen again. Gives the wait before the next look.
    pub fn break_off(&mut self, now: Instant) -> Duration {
        self.drop_requests(now);
        self.open = false;
        self.repair_pauses.next_pause()
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
    async fn a_pull_never_requests_more_than_it_can_deliver() {
        let (mut budget, now) = budget(8);
        assert_eq!(budget.wanted(usize::MAX), 8);
        assert_eq!(budget.wanted(3), 3);
        budget.record_request(8, PullPace::for_pulls(1), now);
        assert_eq!(budget.wanted(usize::MAX), 0);
        for _ in 0..8 {
            budget.record_message(now);
            budget.begin_delivery();
        }
        assert_eq!(budget.wanted(usize::MAX), 0);
        budget.end_delivery();
        assert_eq!(budget.wanted(usize::MAX), 1, "nothing is asked for, so one slot is enough");
        budget.record_request(1, PullPace::for_pulls(1), now);
        budget.end_delivery();
        assert_eq!(budget.wanted(usize::MAX), 0, "one more is not worth a request");
        (0..3).for_each(|_| budget.end_delivery());
        assert_eq!(budget.wanted(usize::MAX), 4, "half of the slots are");
        budget.record_expiry(1, now);
        assert_eq!(budget.wanted(usize::MAX), 5);
    }

    #[tokio::test]
    async fn silence_is_noticed_only_where_something_was_asked_for() {
        let (mut budget, now) = budget(8);
        let later = now + Duration::from_secs(12);
        assert!(!budget.is_silent(later));
        budget.record_request(8, PullPace::for_pulls(1), now);
        assert!(budget.is_silent(later));
        budget.record_heartbeat(later);
        assert!(!budget.is_silent(later));
        budget.drop_requests(later);
        assert_eq!((budget.wanted(usize::MAX), budget.generation), (8, 1));
    }

    #[tokio::test]
    async fn a_pull_that_does_not_work_is_repaired_at_growing_pauses() {
        let (mut budget, now) = budget(1);
        let pauses: Vec<u128> = (0..9).map(|_| budget.break_off(now).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        budget.record_message(now);
        assert_eq!(budget.break_off(now), Duration::from_millis(50));
    }
}
