//! Opens, updates and closes endpoints as the watcher reports them. What is in flight ends as it started.

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
    pub(super) fn apply_change(&mut self, change: EndpointChange) {
        match change {
            EndpointChange::Set(endpoint) if !endpoint.enabled => self.close_endpoint(&endpoint.id, "it is disabled"),
            EndpointChange::Set(endpoint) => self.set_endpoint(endpoint),
            EndpointChange::Removed(endpoint) => {
                self.ordered_tasks.stop_deleted(&endpoint);
                self.close_endpoint(&endpoint, "it was deleted");
            }
            EndpointChange::Circuit { endpoint, open } => self.apply_circuit(&endpoint, open),
            EndpointChange::Paused { endpoint, pause } => {
                let slot = self.table.find_by_endpoint(&endpoint).and_then(|slot| self.table.get(slot));
                slot.into_iter().for_each(|slot| slot.pace.pause_until(Instant::now() + pause));
            }
            EndpointChange::HasRetries(endpoint) => {
                if let Some(slot) = self.table.find_by_endpoint(&endpoint) {
                    self.open_retries(slot);
                }
            }
            EndpointChange::AllListed => {
                self.complete = true;
                self.find_retries();
                self.find_parked();
            }
        }
        self.signal_if_ready();
    }

    pub(super) fn set_endpoint(&mut self, endpoint: Arc<Endpoint>) {
        let now = Instant::now();
        let known = self.table.find_by_endpoint(&endpoint.id);
        let slot = known.and_then(|slot| self.table.get(slot));
        if slot.as_ref().is_some_and(|slot| slot.endpoint == endpoint) {
            return;
        }
        let same_receiver = slot.filter(|slot| slot.endpoint.url == endpoint.url);
        let earlier = same_receiver.map(|slot| Arc::clone(&slot.deliverer));
        let deliverer = match EndpointDeliverer::new(Arc::clone(&endpoint), Arc::clone(&self.context)) {
            Ok(deliverer) => Arc::new(match &earlier {
                Some(earlier) => deliverer.with_health_of(earlier),
                None => deliverer,
            }),
            Err(error) => {
                let id = &endpoint.id;
                tracing::warn!(endpoint.id = %id, "failed to use webhook endpoint {id}: {error:#}");
                return self.close_endpoint(id, "it cannot be used");
            }
        };
        let Some(id) = known else {
            let is_default = endpoint.id.is_default();
            let id = self.table.add(EndpointSlot::new(endpoint, deliverer, now));
            self.create_consumer(PullId { slot: id, source: PullSource::Events }, Duration::ZERO);
            if is_default {
                self.open_retries(id);
            }
            if self.complete {
                self.find_parked();
            }
            self.next_retries_check = self.next_retries_check.min(now + super::RETRIES_CHECK_SOON);
            return;
        };
        let Some(slot) = self.table.get(id) else { return };
        let has_new_url = slot.endpoint.url != endpoint.url;
        self.ordered_tasks.update(&endpoint, &deliverer);
        let unordered_again = endpoint.ordering == EventOrdering::None && self.ordered_tasks.contains(&endpoint.id);
        if unordered_again {
            // What the task has started ends first. Then the consumer is changed.
            self.ordered_tasks.stop(&endpoint.id);
        }
        if endpoint.ordering == EventOrdering::Chat {
            slot.events.drop_requests(now);
            slot.events.open = false;
        }
        slot.update(Arc::clone(&endpoint), deliverer);
        let sources: Vec<PullSource> = slot.budgets().map(|budget| budget.source).collect();
        for source in sources.into_iter().filter(|source| !(unordered_again && *source == PullSource::Events)) {
            self.create_consumer(PullId { slot: id, source }, Duration::ZERO);
        }
        if has_new_url {
            self.send_health_change(HealthChange::UrlChanged { endpoint: endpoint.id.clone() });
        }
    }

    /// Applies another dispatcher's circuit.
    pub(super) fn apply_circuit(&mut self, endpoint: &EndpointId, open: bool) {
        let slot = self.table.find_by_endpoint(endpoint).and_then(|slot| self.table.get(slot));
        let Some(slot) = slot else { return };
        let now = Instant::now();
        if open {
            slot.breaker.open_remotely(now);
        } else if slot.breaker.close_remotely() {
            slot.restart_slowly(now);
        }
    }

    pub(super) fn open_retries(&mut self, slot: SlotId) {
        if let Some(pull) = self.table.add_retries(slot, Instant::now()) {
            self.create_consumer(pull, Duration::ZERO);
        }
    }

    pub(super) fn close_endpoint(&mut self, endpoint: &EndpointId, why: &str) {
        let Some(slot) = self.table.find_by_endpoint(endpoint) else { return };
        self.table.remove(slot);
        self.ordered_tasks.stop(endpoint);
        self.uncreated.retain(|pull| pull.slot != slot);
        self.context.metrics.remove(endpoint);
        tracing::info!(endpoint.id = %endpoint, "no more events are taken for webhook endpoint {endpoint}: {why}");
    }
}
