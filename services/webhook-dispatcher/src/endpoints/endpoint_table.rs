//! The worker's table: every enabled endpoint with its pulls, its limits and its circuit breaker.

use crate::{
    delivery::deliverer::EndpointDeliverer,
    endpoint::Endpoint,
    endpoints::{
        adaptive_concurrency::AdaptiveConcurrency, adaptive_pace::AdaptivePace, circuit_breaker::CircuitBreaker,
        rate_limit::RateLimit,
    },
    jetstream::{
        consumer::{PullId, PullSource, SlotId},
        pull_budget::{PullBudget, PullPace},
    },
};
use kurir_contract::endpoint::EndpointId;
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// What the worker keeps of one endpoint.
pub struct EndpointSlot {
    pub endpoint: Arc<Endpoint>,
    pub deliverer: Arc<EndpointDeliverer>,
    pub breaker: CircuitBreaker,
    pub limit: Option<RateLimit>,
    pub pace: AdaptivePace,
    pub concurrency: AdaptiveConcurrency,
    /// Unused for an ordered endpoint, which has a task of its own.
    pub events: PullBudget,
    /// None before the first retry.
    pub retries: Option<PullBudget>,
}

impl EndpointSlot {
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, deliverer: Arc<EndpointDeliverer>, now: Instant) -> Self {
        let mut slot = Self {
            breaker: CircuitBreaker::default(),
            pace: AdaptivePace::default(),
            concurrency: AdaptiveConcurrency::new(endpoint.concurrency),
            limit: endpoint.rate_limit.map(RateLimit::new),
            events: PullBudget::new(&endpoint, PullSource::Events, now),
            retries: None,
            endpoint,
            deliverer,
        };
        slot.apply_concurrency();
        slot
    }

    /// Replaces the endpoint. Its pulls stay: what is in flight ends as it started.
    pub fn update(&mut self, endpoint: Arc<Endpoint>, deliverer: Arc<EndpointDeliverer>) {
        if self.endpoint.url != endpoint.url {
            // The URL leads to another receiver.
            self.breaker = CircuitBreaker::default();
            self.pace = AdaptivePace::default();
            self.concurrency.restart();
        }
        self.limit = RateLimit::changed(self.limit.take(), endpoint.rate_limit);
        self.concurrency.set_limit(endpoint.concurrency);
        self.apply_concurrency();
        self.endpoint = endpoint;
        self.deliverer = deliverer;
    }

    pub fn budget(&mut self, source: PullSource) -> Option<&mut PullBudget> {
        match source {
            PullSource::Events => Some(&mut self.events),
            PullSource::Retries => self.retries.as_mut(),
        }
    }

    pub fn budgets(&mut self) -> impl Iterator<Item = &mut PullBudget> {
        std::iter::once(&mut self.events).chain(&mut self.retries)
    }

    /// The receiver is back after an outage.
    pub fn restart_slowly(&mut self, now: Instant) {
        self.pace.restart(now);
        self.concurrency.restart();
        self.apply_concurrency();
    }

    /// Sets how many messages of each source may be in delivery.
    pub fn apply_concurrency(&mut self) {
        let window = self.concurrency.window();
        for budget in self.budgets() {
            budget.capacity = budget.source.share_of(window);
        }
    }

    /// How many messages to request from a source, as the endpoint's limits allow now. `sharers`: the dispatchers, if
    /// they are counted.
    pub fn wanted(&mut self, source: PullSource, sharers: Option<usize>, now: Instant) -> usize {
        let circuit = self.breaker.allowance(now);
        let rate = self.limit.as_ref().map_or(usize::MAX, |limit| limit.available(sharers, now));
        let most = circuit.min(rate).min(self.pace.available(now));
        self.budget(source).map_or(0, |budget| budget.wanted(most))
    }
}

#[derive(Default)]
pub struct EndpointTable {
    slots: HashMap<SlotId, EndpointSlot>,
    by_endpoint: HashMap<EndpointId, SlotId>,
    /// By the consumer's name, as NATS writes it into a message.
    by_consumer: HashMap<String, PullId>,
    next: SlotId,
}

impl EndpointTable {
    pub fn get(&mut self, slot: SlotId) -> Option<&mut EndpointSlot> {
        self.slots.get_mut(&slot)
    }

    #[must_use]
    pub fn find_by_endpoint(&self, endpoint: &EndpointId) -> Option<SlotId> {
        self.by_endpoint.get(endpoint).copied()
    }

    #[must_use]
    pub fn find_by_consumer(&self, consumer: &str) -> Option<PullId> {
        self.by_consumer.get(consumer).copied()
    }

    pub fn slots(&mut self) -> impl Iterator<Item = (SlotId, &mut EndpointSlot)> {
        self.slots.iter_mut().map(|(id, slot)| (*id, slot))
    }

    #[must_use]
    pub fn pace(&self) -> PullPace {
        PullPace::for_pulls(self.by_consumer.len())
    }

    pub fn add(&mut self, slot: EndpointSlot) -> SlotId {
        let id = self.next;
        self.next += 1;
        let endpoint = &slot.endpoint.id;
        self.by_endpoint.insert(endpoint.clone(), id);
        self.by_consumer.insert(slot.events.consumer.clone(), PullId { slot: id, source: PullSource::Events });
        self.slots.insert(id, slot);
        id
    }

    /// Adds the pull of an endpoint's retries, unless it exists.
    pub fn add_retries(&mut self, id: SlotId, now: Instant) -> Option<PullId> {
        let slot = self.slots.get_mut(&id).filter(|slot| slot.retries.is_none())?;
        let budget = PullBudget::new(&slot.endpoint, PullSource::Retries, now);
        let line_id = PullId { slot: id, source: PullSource::Retries };
        self.by_consumer.insert(budget.consumer.clone(), line_id);
        slot.retries = Some(budget);
        slot.apply_concurrency();
        Some(line_id)
    }

    /// Removes an endpoint. Its deliveries go on; messages that still come are given back.
    pub fn remove(&mut self, id: SlotId) -> Option<EndpointSlot> {
        let mut slot = self.slots.remove(&id)?;
        self.by_endpoint.remove(&slot.endpoint.id);
        for budget in slot.budgets() {
            self.by_consumer.remove(&budget.consumer);
        }
        Some(slot)
    }
}
