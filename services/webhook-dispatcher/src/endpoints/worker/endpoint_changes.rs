//! Which endpoints there are: opened, changed and closed as the bucket says. What is in flight ends as it began.

use crate::{
    delivery::deliverer::EndpointDeliverer,
    endpoint::Endpoint,
    endpoints::{
        endpoint_table::EndpointSlot, health_change::HealthChange, watcher::EndpointChange, worker::DeliveryWorker,
    },
    jetstream::consumer::{PullId, PullSource, SlotId},
};
use kurir_contract::endpoint::{EndpointId, EventOrdering};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

impl DeliveryWorker {
    pub(super) fn change(&mut self, change: EndpointChange) {
        match change {
            EndpointChange::Set(endpoint) if !endpoint.enabled => self.close(&endpoint.id, "it is disabled"),
            EndpointChange::Set(endpoint) => self.set(endpoint),
            EndpointChange::Removed(endpoint) => {
                self.ordered_tasks.delete(&endpoint);
                self.close(&endpoint, "it was deleted");
            }
            EndpointChange::Circuit { endpoint, open } => self.circuit(&endpoint, open),
            EndpointChange::Retries(endpoint) => {
                if let Some(slot) = self.table.of_endpoint(&endpoint) {
                    self.open_retries(slot);
                }
            }
            EndpointChange::Complete => {
                self.complete = true;
                self.look_for_retries();
                self.look_for_parked();
            }
        }
        self.say_if_begun();
    }

    pub(super) fn set(&mut self, endpoint: Arc<Endpoint>) {
        let now = Instant::now();
        let known = self.table.of_endpoint(&endpoint.id);
        let slot = known.and_then(|slot| self.table.get(slot));
        if slot.is_some_and(|slot| slot.endpoint == endpoint) {
            return;
        }
        let deliverer = match EndpointDeliverer::new(Arc::clone(&endpoint), Arc::clone(&self.tools)) {
            Ok(deliverer) => Arc::new(deliverer),
            Err(error) => {
                let id = &endpoint.id;
                tracing::warn!(endpoint.id = %id, "webhook endpoint {id} cannot be used: {error:#}");
                return self.close(id, "it cannot be used");
            }
        };
        let Some(id) = known else {
            let is_default = endpoint.id.is_default();
            let id = self.table.open(EndpointSlot::new(endpoint, deliverer, now));
            self.make(PullId { slot: id, source: PullSource::Events }, Duration::ZERO);
            if is_default {
                self.open_retries(id);
            }
            if self.complete {
                self.look_for_parked();
            }
            self.looks_for_retries = self.looks_for_retries.min(now + super::LOOK_SOON);
            return;
        };
        let Some(slot) = self.table.get(id) else { return };
        let moved = slot.endpoint.url != endpoint.url;
        self.ordered_tasks.change(&endpoint, &deliverer);
        let unordered_again = endpoint.ordering == EventOrdering::None && self.ordered_tasks.has(&endpoint.id);
        if unordered_again {
            // What it has begun ends first; then its consumer is changed.
            self.ordered_tasks.end(&endpoint.id);
        }
        if endpoint.ordering == EventOrdering::Chat {
            slot.events.lost(now);
            slot.events.open = false;
        }
        slot.change(Arc::clone(&endpoint), deliverer, now);
        let sources: Vec<PullSource> = slot.budgets().map(|budget| budget.source).collect();
        for source in sources.into_iter().filter(|source| !(unordered_again && *source == PullSource::Events)) {
            self.make(PullId { slot: id, source }, Duration::ZERO);
        }
        if moved {
            self.tell(HealthChange::Moved { endpoint: endpoint.id.clone() });
        }
    }

    /// What another dispatcher saw.
    pub(super) fn circuit(&mut self, endpoint: &EndpointId, open: bool) {
        let slot = self.table.of_endpoint(endpoint).and_then(|slot| self.table.get(slot));
        match slot {
            Some(slot) if open => slot.breaker.opened_elsewhere(Instant::now()),
            Some(slot) => slot.breaker.closed_elsewhere(),
            None => {}
        }
    }

    pub(super) fn open_retries(&mut self, slot: SlotId) {
        if let Some(pull) = self.table.open_retries(slot, Instant::now()) {
            self.make(pull, Duration::ZERO);
        }
    }

    pub(super) fn close(&mut self, endpoint: &EndpointId, why: &str) {
        let Some(slot) = self.table.of_endpoint(endpoint) else { return };
        self.table.close(slot);
        self.ordered_tasks.end(endpoint);
        self.untried.retain(|pull| pull.slot != slot);
        self.tools.metrics.forget(endpoint);
        tracing::info!(endpoint.id = %endpoint, "no more events are taken for webhook endpoint {endpoint}: {why}");
    }
}
