//! The worker's list: every enabled endpoint with its lines, its limits and its circuit breaker.

use super::{
    Endpoint,
    breaker::CircuitBreaker,
    consumer::PullSource,
    line::{PullBudget, PullPace},
    rate_limit::RateLimit,
};
use crate::delivery::EndpointDeliverer;
use kurir_contract::endpoint::EndpointId;
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// Of one endpoint while it is open; never used again, so that what is said late about a closed one finds nobody.
pub type SlotId = u64;

/// One endpoint's supply from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PullId {
    pub station: SlotId,
    pub source: PullSource,
}

/// All that the worker keeps of one endpoint.
pub struct EndpointSlot {
    pub endpoint: Arc<Endpoint>,
    pub deliverer: Arc<EndpointDeliverer>,
    pub breaker: CircuitBreaker,
    pub limit: Option<RateLimit>,
    /// Of an ordered endpoint it stays closed: that has a task of its own.
    pub events: PullBudget,
    /// From its first retry on.
    pub retries: Option<PullBudget>,
}

impl EndpointSlot {
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, deliverer: Arc<EndpointDeliverer>, now: Instant) -> Self {
        Self {
            breaker: CircuitBreaker::default(),
            limit: endpoint.rate_limit.map(|rate| RateLimit::new(rate, now)),
            events: PullBudget::new(&endpoint, PullSource::Events, now),
            retries: None,
            endpoint,
            deliverer,
        }
    }

    /// The endpoint as it is from now on. Its lines stay: what is in flight ends as it began.
    pub fn change(&mut self, endpoint: Arc<Endpoint>, deliverer: Arc<EndpointDeliverer>, now: Instant) {
        if self.endpoint.url != endpoint.url {
            // Another receiver.
            self.breaker = CircuitBreaker::default();
        }
        self.limit = endpoint.rate_limit.map(|rate| RateLimit::new(rate, now));
        for line in self.lines() {
            line.slots = line.source.slots(&endpoint);
        }
        self.endpoint = endpoint;
        self.deliverer = deliverer;
    }

    pub fn line(&mut self, source: PullSource) -> Option<&mut PullBudget> {
        match source {
            PullSource::Events => Some(&mut self.events),
            PullSource::Retries => self.retries.as_mut(),
        }
    }

    pub fn lines(&mut self) -> impl Iterator<Item = &mut PullBudget> {
        std::iter::once(&mut self.events).chain(&mut self.retries)
    }

    /// How many more messages a line may ask for, by what its endpoint's limits allow now.
    pub fn wanted(&mut self, source: PullSource, sharers: usize, now: Instant) -> usize {
        let circuit = self.breaker.admits(now);
        let rate = self.limit.as_mut().map_or(usize::MAX, |limit| limit.available(sharers, now));
        self.line(source).map_or(0, |line| line.wanted(circuit.min(rate)))
    }
}

#[derive(Default)]
pub struct EndpointTable {
    stations: HashMap<SlotId, EndpointSlot>,
    by_endpoint: HashMap<EndpointId, SlotId>,
    /// By a consumer's name, as NATS writes it into a message.
    by_consumer: HashMap<String, PullId>,
    next: SlotId,
}

impl EndpointTable {
    pub fn get(&mut self, station: SlotId) -> Option<&mut EndpointSlot> {
        self.stations.get_mut(&station)
    }

    #[must_use]
    pub fn of_endpoint(&self, endpoint: &EndpointId) -> Option<SlotId> {
        self.by_endpoint.get(endpoint).copied()
    }

    #[must_use]
    pub fn of_consumer(&self, consumer: &str) -> Option<PullId> {
        self.by_consumer.get(consumer).copied()
    }

    pub fn stations(&mut self) -> impl Iterator<Item = (SlotId, &mut EndpointSlot)> {
        self.stations.iter_mut().map(|(id, station)| (*id, station))
    }

    #[must_use]
    pub fn pace(&self) -> PullPace {
        PullPace::of(self.by_consumer.len())
    }

    pub fn open(&mut self, station: EndpointSlot) -> SlotId {
        let id = self.next;
        self.next += 1;
        let endpoint = &station.endpoint.id;
        self.by_endpoint.insert(endpoint.clone(), id);
        self.by_consumer.insert(station.events.consumer.clone(), PullId { station: id, source: PullSource::Events });
        self.stations.insert(id, station);
        id
    }

    /// Gives its new line to an endpoint that has none for its retries.
    pub fn open_retries(&mut self, id: SlotId, now: Instant) -> Option<PullId> {
        let station = self.stations.get_mut(&id).filter(|station| station.retries.is_none())?;
        let line = PullBudget::new(&station.endpoint, PullSource::Retries, now);
        let line_id = PullId { station: id, source: PullSource::Retries };
        self.by_consumer.insert(line.consumer.clone(), line_id);
        station.retries = Some(line);
        Some(line_id)
    }

    /// What is in delivery goes on; what comes yet belongs to nobody and is given back.
    pub fn close(&mut self, id: SlotId) -> Option<EndpointSlot> {
        let mut station = self.stations.remove(&id)?;
        self.by_endpoint.remove(&station.endpoint.id);
        for line in station.lines() {
            self.by_consumer.remove(&line.consumer);
        }
        Some(station)
    }
}
