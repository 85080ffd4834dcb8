//! The worker's list: every enabled endpoint with its lines, its limits and its circuit breaker.

use super::{
    Endpoint,
    breaker::Breaker,
    consumer::Source,
    line::{Line, Pace},
    rate_limit::RateLimit,
};
use crate::delivery::Deliverer;
use kurir_contract::endpoint::EndpointId;
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// Of one endpoint while it is open; never used again, so that what is said late about a closed one finds nobody.
pub type StationId = u64;

/// One endpoint's supply from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LineId {
    pub station: StationId,
    pub source: Source,
}

/// All that the worker keeps of one endpoint.
pub struct Station {
    pub endpoint: Arc<Endpoint>,
    pub deliverer: Arc<Deliverer>,
    pub breaker: Breaker,
    pub limit: Option<RateLimit>,
    /// Of an ordered endpoint it stays closed: that has a task of its own.
    pub events: Line,
    /// From its first retry on.
    pub retries: Option<Line>,
}

impl Station {
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, deliverer: Arc<Deliverer>, now: Instant) -> Self {
        Self {
            breaker: Breaker::default(),
            limit: endpoint.rate_limit.map(|rate| RateLimit::new(rate, now)),
            events: Line::new(&endpoint, Source::Events, now),
            retries: None,
            endpoint,
            deliverer,
        }
    }

    /// The endpoint as it is from now on. Its lines stay: what is in flight ends as it began.
    pub fn change(&mut self, endpoint: Arc<Endpoint>, deliverer: Arc<Deliverer>, now: Instant) {
        if self.endpoint.url != endpoint.url {
            // Another receiver.
            self.breaker = Breaker::default();
        }
        self.limit = endpoint.rate_limit.map(|rate| RateLimit::new(rate, now));
        for line in self.lines() {
            line.slots = line.source.slots(&endpoint);
        }
        self.endpoint = endpoint;
        self.deliverer = deliverer;
    }

    pub fn line(&mut self, source: Source) -> Option<&mut Line> {
        match source {
            Source::Events => Some(&mut self.events),
            Source::Retries => self.retries.as_mut(),
        }
    }

    pub fn lines(&mut self) -> impl Iterator<Item = &mut Line> {
        std::iter::once(&mut self.events).chain(&mut self.retries)
    }

    /// How many more messages a line may ask for, by what its endpoint's limits allow now.
    pub fn wanted(&mut self, source: Source, sharers: usize, now: Instant) -> usize {
        let circuit = self.breaker.admits(now);
        let rate = self.limit.as_mut().map_or(usize::MAX, |limit| limit.available(sharers, now));
        self.line(source).map_or(0, |line| line.wanted(circuit.min(rate)))
    }
}

#[derive(Default)]
pub struct Roster {
    stations: HashMap<StationId, Station>,
    by_endpoint: HashMap<EndpointId, StationId>,
    /// By a consumer's name, as NATS writes it into a message.
    by_consumer: HashMap<String, LineId>,
    next: StationId,
}

impl Roster {
    pub fn get(&mut self, station: StationId) -> Option<&mut Station> {
        self.stations.get_mut(&station)
    }

    #[must_use]
    pub fn of_endpoint(&self, endpoint: &EndpointId) -> Option<StationId> {
        self.by_endpoint.get(endpoint).copied()
    }

    #[must_use]
    pub fn of_consumer(&self, consumer: &str) -> Option<LineId> {
        self.by_consumer.get(consumer).copied()
    }

    pub fn stations(&mut self) -> impl Iterator<Item = (StationId, &mut Station)> {
        self.stations.iter_mut().map(|(id, station)| (*id, station))
    }

    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace::of(self.by_consumer.len())
    }

    pub fn open(&mut self, station: Station) -> StationId {
        let id = self.next;
        self.next += 1;
        let endpoint = &station.endpoint.id;
        self.by_endpoint.insert(endpoint.clone(), id);
        self.by_consumer.insert(station.events.consumer.clone(), LineId { station: id, source: Source::Events });
        self.stations.insert(id, station);
        id
    }

    /// Gives its new line to an endpoint that has none for its retries.
    pub fn open_retries(&mut self, id: StationId, now: Instant) -> Option<LineId> {
        let station = self.stations.get_mut(&id).filter(|station| station.retries.is_none())?;
        let line = Line::new(&station.endpoint, Source::Retries, now);
        let line_id = LineId { station: id, source: Source::Retries };
        self.by_consumer.insert(line.consumer.clone(), line_id);
        station.retries = Some(line);
        Some(line_id)
    }

    /// What is in delivery goes on; what comes yet belongs to nobody and is given back.
    pub fn close(&mut self, id: StationId) -> Option<Station> {
        let mut station = self.stations.remove(&id)?;
        self.by_endpoint.remove(&station.endpoint.id);
        for line in station.lines() {
            self.by_consumer.remove(&line.consumer);
        }
        Some(station)
    }
}
