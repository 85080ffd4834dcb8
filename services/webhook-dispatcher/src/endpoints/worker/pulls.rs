//! Creates consumers, requests messages from them, and repairs pulls whose requests were lost.

use crate::{
    endpoints::{
        stream_change::adopt_stream,
        worker::{DeliveryWorker, JobResult},
    },
    jetstream::{
        consumer::{self, PullId, PullSource, StreamChange},
        pull_inbox::{PullRequest, PullStatus},
    },
};
use futures::FutureExt as _;
use kurir_contract::endpoint::EventOrdering;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

impl DeliveryWorker {
    /// Makes sure that the pull's consumer exists and has the right settings.
    pub(super) fn create_consumer(&mut self, pull: PullId, pause: Duration) {
        let Some(slot) = self.table.get(pull.slot) else { return };
        let (broker, endpoint) = (self.broker.clone(), Arc::clone(&slot.endpoint));
        let creations = Arc::clone(&self.creations);
        if self.ready.is_some() {
            self.uncreated.insert(pull);
        }
        let made = async move {
            tokio::time::sleep(pause).await;
            // The semaphore is never closed.
            let _permit = creations.acquire().await;
            JobResult::Created(pull, consumer::create_consumer(&broker, pull.source, &endpoint).await)
        };
        self.jobs.push(made.boxed());
    }

    pub(super) async fn finish_job(&mut self, done: JobResult) {
        match done {
            JobResult::Created(pull, made) => {
                self.uncreated.remove(&pull);
                self.finish_creation(pull, made).await;
                self.signal_if_ready();
            }
            JobResult::Retries(endpoints) => {
                for endpoint in endpoints {
                    if let Some(slot) = self.table.find_by_endpoint(&endpoint) {
                        self.open_retries(slot);
                    }
                }
            }
            JobResult::StreamAdopted(endpoint, adopted) => {
                if let Err(error) = adopted {
                    tracing::warn!(endpoint.id = %endpoint, "failed to store which stream webhook endpoint {endpoint} receives: {error:#}");
                }
            }
            JobResult::Parked(endpoints) => self.release_parked(endpoints),
            JobResult::Released(endpoint, released) => self.finish_release(&endpoint, released),
        }
    }

    pub(super) async fn finish_creation(&mut self, id: PullId, made: anyhow::Result<Option<StreamChange>>) {
        let Some(slot) = self.table.get(id.slot) else { return };
        let endpoint = Arc::clone(&slot.endpoint);
        if let Ok(Some(change)) = &made {
            let (broker, id, change) = (self.broker.clone(), endpoint.id.clone(), change.clone());
            let adopted = async move {
                let adopted = adopt_stream(&broker, &id, &change).await;
                JobResult::StreamAdopted(id, adopted)
            };
            self.jobs.push(adopted.boxed());
        }
        let Some(slot) = self.table.get(id.slot) else { return };
        let Some(budget) = slot.budget(id.source) else { return };
        match made {
            Ok(_) if id.source == PullSource::Events && endpoint.ordering == EventOrdering::Chat => {
                self.start_ordered_task(id.slot)
            }
            Ok(_) => {
                budget.open = true;
                self.request_messages(id).await;
            }
            Err(error) => {
                let pause = budget.break_off(Instant::now());
                let endpoint = &endpoint.id;
                tracing::warn!(endpoint.id = %endpoint, "webhook endpoint {endpoint} waits for its consumer: {error:#}");
                self.create_consumer(id, pause);
            }
        }
    }

    pub(super) async fn apply_status(&mut self, id: PullId, generation: u64, status: PullStatus) {
        let Some(budget) = self.table.get(id.slot).and_then(|slot| slot.budget(id.source)) else { return };
        if budget.generation != generation {
            return;
        }
        match status {
            PullStatus::Heartbeat => budget.record_heartbeat(Instant::now()),
            PullStatus::Expired { unserved } => {
                budget.record_expiry(unserved, Instant::now());
                self.request_messages(id).await;
            }
            PullStatus::Trouble(what) => self.repair_pull(id, &what),
        }
    }

    /// Counts the pull's requests as lost. It requests again when its consumer was seen.
    pub(super) fn repair_pull(&mut self, id: PullId, what: &str) {
        let Some(slot) = self.table.get(id.slot) else { return };
        let endpoint = slot.endpoint.id.clone();
        let Some(budget) = slot.budget(id.source).filter(|budget| budget.open) else { return };
        tracing::info!(endpoint.id = %endpoint, "requesting the events of webhook endpoint {endpoint} again: {what}");
        let pause = budget.break_off(Instant::now());
        self.create_consumer(id, pause);
    }

    pub(super) async fn request_messages(&mut self, id: PullId) {
        let (now, pace, sharers) = (Instant::now(), self.table.pace(), self.peers.count());
        let Some(slot) = self.table.get(id.slot) else { return };
        let batch = slot.wanted(id.source, sharers, now);
        let Some(budget) = slot.budget(id.source).filter(|_| batch > 0) else { return };
        budget.record_request(batch, pace, now);
        let request = PullRequest {
            pull: id,
            generation: budget.generation,
            consumer: &budget.consumer,
            batch,
            expires: pace.expires,
            heartbeat: pace.heartbeat,
        };
        self.inbox.request(&request).await;
    }

    pub(super) async fn check_all(&mut self) {
        let now = Instant::now();
        let is_new = super::connection_count(&self.broker) != self.connections;
        self.connections = super::connection_count(&self.broker);
        let (mut asking, mut silent, mut ordered_tasks) = (Vec::new(), Vec::new(), Vec::new());
        for (id, slot) in self.table.slots() {
            if slot.endpoint.ordering == EventOrdering::Chat && !self.ordered_tasks.contains(&slot.endpoint.id) {
                ordered_tasks.push(id);
            }
            if slot.endpoint.ordering == EventOrdering::None {
                slot.deliverer.metrics().set_circuit(slot.breaker.state());
            }
            for budget in slot.budgets() {
                let pull = PullId { slot: id, source: budget.source };
                if is_new {
                    budget.drop_requests(now);
                }
                if budget.is_silent(now) {
                    silent.push(pull);
                } else if budget.wanted(1) > 0 {
                    asking.push(pull);
                }
            }
        }
        if is_new {
            tracing::debug!("connected to NATS again: all webhook work is requested again");
        }
        for slot in ordered_tasks {
            self.start_ordered_task(slot);
        }
        for pull in silent {
            self.repair_pull(pull, "NATS was silent");
        }
        for pull in asking {
            self.request_messages(pull).await;
        }
        if now >= self.next_retries_check {
            self.find_retries();
        }
    }

    pub(super) fn find_retries(&mut self) {
        self.next_retries_check = Instant::now() + super::RETRIES_CHECK_INTERVAL;
        let broker = self.broker.clone();
        // An error means that NATS is away. The next check repeats this.
        let found = async move {
            JobResult::Retries(consumer::list_endpoints(&broker, PullSource::Retries).await.unwrap_or_default())
        };
        self.jobs.push(found.boxed());
    }
}
