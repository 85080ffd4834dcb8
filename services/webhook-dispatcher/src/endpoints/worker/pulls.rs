//! What the broker gives: consumers that are made, requests that are asked, lost and mended.

use crate::{
    endpoints::worker::{DeliveryWorker, JobResult},
    jetstream::{
        consumer::{self, PullId, PullSource},
        pull_inbox::{PullRequest, PullStatus},
    },
};
use futures::FutureExt as _;
use kurir_contract::endpoint::EventOrdering;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

impl DeliveryWorker {
    /// Makes sure that a line's consumer is there and is as it should be.
    pub(super) fn make(&mut self, pull: PullId, pause: Duration) {
        let Some(slot) = self.table.get(pull.slot) else { return };
        let (broker, endpoint) = (self.broker.clone(), Arc::clone(&slot.endpoint));
        let making = Arc::clone(&self.making);
        if self.begun.is_some() {
            self.untried.insert(pull);
        }
        let made = async move {
            tokio::time::sleep(pause).await;
            // Closed by nobody.
            let _permit = making.acquire().await;
            JobResult::Made(pull, consumer::make(&broker, pull.source, &endpoint).await)
        };
        self.jobs.push(made.boxed());
    }

    pub(super) async fn done(&mut self, done: JobResult) {
        match done {
            JobResult::Made(pull, made) => {
                self.untried.remove(&pull);
                self.made(pull, made).await;
                self.say_if_begun();
            }
            JobResult::Retries(endpoints) => {
                for endpoint in endpoints {
                    if let Some(slot) = self.table.of_endpoint(&endpoint) {
                        self.open_retries(slot);
                    }
                }
            }
            JobResult::Parked(endpoints) => self.found_parked(endpoints),
            JobResult::Released(endpoint, released) => self.released(&endpoint, released),
        }
    }

    pub(super) async fn made(&mut self, id: PullId, made: anyhow::Result<()>) {
        let Some(slot) = self.table.get(id.slot) else { return };
        let endpoint = Arc::clone(&slot.endpoint);
        let Some(budget) = slot.budget(id.source) else { return };
        match made {
            Ok(()) if id.source == PullSource::Events && endpoint.ordering == EventOrdering::Chat => {
                self.begin_shift(id.slot)
            }
            Ok(()) => {
                budget.open = true;
                self.ask(id).await;
            }
            Err(error) => {
                let pause = budget.breaks(Instant::now());
                let endpoint = &endpoint.id;
                tracing::warn!(endpoint.id = %endpoint, "webhook endpoint {endpoint} waits for its consumer: {error:#}");
                self.make(id, pause);
            }
        }
    }

    pub(super) async fn heard(&mut self, id: PullId, generation: u64, said: PullStatus) {
        let Some(budget) = self.table.get(id.slot).and_then(|slot| slot.budget(id.source)) else { return };
        if budget.generation != generation {
            return;
        }
        match said {
            PullStatus::Heartbeat => budget.heartbeat(Instant::now()),
            PullStatus::Expired { unserved } => {
                budget.expired(unserved, Instant::now());
                self.ask(id).await;
            }
            PullStatus::Trouble(what) => self.mend(id, &what),
        }
    }

    /// The line's requests are lost: it asks again when its consumer was seen.
    pub(super) fn mend(&mut self, id: PullId, what: &str) {
        let Some(slot) = self.table.get(id.slot) else { return };
        let endpoint = slot.endpoint.id.clone();
        let Some(budget) = slot.budget(id.source).filter(|budget| budget.open) else { return };
        tracing::info!(endpoint.id = %endpoint, "taking up the work of webhook endpoint {endpoint} anew: {what}");
        let pause = budget.breaks(Instant::now());
        self.make(id, pause);
    }

    pub(super) async fn ask(&mut self, id: PullId) {
        let (now, pace, sharers) = (Instant::now(), self.table.pace(), self.peers.count());
        let Some(slot) = self.table.get(id.slot) else { return };
        let batch = slot.wanted(id.source, sharers, now);
        let Some(budget) = slot.budget(id.source).filter(|_| batch > 0) else { return };
        budget.asked(batch, pace, now);
        let request = PullRequest {
            pull: id,
            generation: budget.generation,
            consumer: &budget.consumer,
            batch,
            expires: pace.expires,
            heartbeat: pace.heartbeat,
        };
        self.inbox.ask(&request).await;
    }

    pub(super) async fn look_around(&mut self) {
        let now = Instant::now();
        let is_new = super::connects(&self.broker) != self.connects;
        self.connects = super::connects(&self.broker);
        let (mut asking, mut silent, mut ordered_tasks) = (Vec::new(), Vec::new(), Vec::new());
        for (id, slot) in self.table.slots() {
            if slot.endpoint.ordering == EventOrdering::Chat && !self.ordered_tasks.has(&slot.endpoint.id) {
                ordered_tasks.push(id);
            }
            if slot.endpoint.ordering == EventOrdering::None {
                slot.deliverer.metrics().circuit(slot.breaker.circuit());
            }
            for budget in slot.budgets() {
                let pull = PullId { slot: id, source: budget.source };
                if is_new {
                    budget.lost(now);
                }
                if budget.is_silent(now) {
                    silent.push(pull);
                } else if budget.wanted(1) > 0 {
                    asking.push(pull);
                }
            }
        }
        if is_new {
            tracing::debug!("the connection to NATS was made anew: all webhook work is asked for again");
        }
        for slot in ordered_tasks {
            self.begin_shift(slot);
        }
        for pull in silent {
            self.mend(pull, "NATS was silent");
        }
        for pull in asking {
            self.ask(pull).await;
        }
        if now >= self.looks_for_retries {
            self.look_for_retries();
        }
    }

    pub(super) fn look_for_retries(&mut self) {
        self.looks_for_retries = Instant::now() + super::LOOK_FOR_RETRIES;
        let broker = self.broker.clone();
        // An error is a broker that is away: the next look tells.
        let found = async move {
            JobResult::Retries(consumer::endpoints(&broker, PullSource::Retries).await.unwrap_or_default())
        };
        self.jobs.push(found.boxed());
    }
}
