//! Runs the deliveries of the worker on all cores: a few tasks, each with many deliveries.
//!
//! One task for all of them would be bound to one core; a task for each delivery was measured to cost a third of the throughput.

use crate::{delivery::result::DeliveryResult, jetstream::consumer::PullId};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::{num::NonZero, panic::resume_unwind, thread::available_parallelism};
use tokio::{sync::mpsc, task::JoinSet};

/// Further tasks would only hand deliveries back and forth.
const MOST_RUNNERS: usize = 8;

type Delivery = BoxFuture<'static, (PullId, DeliveryResult)>;

/// The deliveries under way. Those that have not ended are given back soon after this is dropped.
pub struct DeliveryRunners {
    runners: Vec<mpsc::UnboundedSender<Delivery>>,
    next: usize,
    results: mpsc::UnboundedReceiver<(PullId, DeliveryResult)>,
    under_way: usize,
    tasks: JoinSet<()>,
}

impl DeliveryRunners {
    #[must_use]
    pub fn start() -> Self {
        // Neither channel holds more than there are deliveries under way, which are bounded by what is requested.
        let (ended, results) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let count = available_parallelism().map_or(1, NonZero::get).min(MOST_RUNNERS);
        let runners = (0..count).map(|_| {
            let (runner, deliveries) = mpsc::unbounded_channel();
            tasks.spawn(run(deliveries, ended.clone()));
            runner
        });
        Self { runners: runners.collect(), next: 0, results, under_way: 0, tasks }
    }

    /// Starts a delivery.
    pub fn push(&mut self, delivery: Delivery) {
        self.next = (self.next + 1) % self.runners.len();
        // A task that ended has panicked; `next` passes that on.
        let _ = self.runners[self.next].send(delivery);
        self.under_way += 1;
    }

    /// How many deliveries have not ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.under_way
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.under_way == 0
    }

    /// The next delivery that ends; none if none is under way. Loses nothing if it is dropped.
    ///
    /// # Panics
    /// If a delivery has panicked.
    pub async fn next(&mut self) -> Option<(PullId, DeliveryResult)> {
        if self.is_empty() {
            return None;
        }
        tokio::select! {
            biased;
            Some(ended) = self.results.recv() => {
                self.under_way -= 1;
                Some(ended)
            }
            Some(Err(error)) = self.tasks.join_next() => resume_unwind(error.into_panic()),
        }
    }
}

async fn run(mut started: mpsc::UnboundedReceiver<Delivery>, ended: mpsc::UnboundedSender<(PullId, DeliveryResult)>) {
    let mut deliveries = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(result) = deliveries.next(), if !deliveries.is_empty() => {
                // Nobody hears it only when the worker has ended.
                let _ = ended.send(result);
            }
            Some(delivery) = started.recv() => deliveries.push(delivery),
            else => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery::result::EndpointVerdict, jetstream::consumer::PullSource};
    use futures::FutureExt as _;
    use std::{collections::BTreeSet, future::pending, time::Duration};
    use tokio::sync::oneshot;

    fn ended(slot: u64) -> (PullId, DeliveryResult) {
        let result = DeliveryResult {
            verdict: EndpointVerdict::Untried,
            took: Duration::ZERO,
            probe: false,
            retry_stored: false,
        };
        (PullId { slot, source: PullSource::Events }, result)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_delivery_ends_once_and_one_that_hangs_holds_up_no_other() {
        let mut runners = DeliveryRunners::start();
        let (dropped, gone) = oneshot::channel::<()>();
        runners.push(
            async move {
                let _held = dropped;
                pending().await
            }
            .boxed(),
        );
        for slot in 0..100 {
            runners.push(async move { ended(slot) }.boxed());
        }
        let mut slots = BTreeSet::new();
        while runners.len() > 1 {
            let (pull, _) = runners.next().await.expect("one ends");
            assert!(slots.insert(pull.slot), "{} ended twice", pull.slot);
        }
        assert_eq!(slots.len(), 100);
        drop(runners);
        assert!(gone.await.is_err(), "what hangs must be dropped");
    }

    #[tokio::test(flavor = "multi_thread")]
    #[should_panic(expected = "a delivery that panics")]
    async fn a_delivery_that_panics_ends_the_worker() {
        let mut runners = DeliveryRunners::start();
        runners.push(async { panic!("a delivery that panics") }.boxed());
        runners.next().await;
    }
}
