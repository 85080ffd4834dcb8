//! Which endpoints there are: opened, changed and closed as the bucket says. What is in flight ends as it began.

use super::{DeliveryWorker, LOOK_SOON};
use crate::{
    delivery::EndpointDeliverer,
    endpoints::{
        Endpoint, EndpointChange,
        consumer::PullSource,
        news::HealthChange,
        roster::{EndpointSlot, PullId, SlotId},
    },
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
                self.shifts.delete(&endpoint);
                self.close(&endpoint, "it was deleted");
            }
            EndpointChange::Circuit { endpoint, open } => self.circuit(&endpoint, open),
            EndpointChange::Retries(endpoint) => {
                if let Some(station) = self.roster.of_endpoint(&endpoint) {
                    self.open_retries(station);
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
        let known = self.roster.of_endpoint(&endpoint.id);
        let station = known.and_then(|station| self.roster.get(station));
        if station.is_some_and(|station| station.endpoint == endpoint) {
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
            let id = self.roster.open(EndpointSlot::new(endpoint, deliverer, now));
            self.make(PullId { station: id, source: PullSource::Events }, Duration::ZERO);
            if is_default {
                self.open_retries(id);
            }
            if self.complete {
                self.look_for_parked();
            }
            self.looks_for_retries = self.looks_for_retries.min(now + LOOK_SOON);
            return;
        };
        let Some(station) = self.roster.get(id) else { return };
        let moved = station.endpoint.url != endpoint.url;
        self.shifts.change(&endpoint, &deliverer);
        let unordered_again = endpoint.ordering == EventOrdering::None && self.shifts.has(&endpoint.id);
        if unordered_again {
            // What it has begun ends first; then its consumer is changed.
            self.shifts.end(&endpoint.id);
        }
        if endpoint.ordering == EventOrdering::Chat {
            station.events.lost(now);
            station.events.open = false;
        }
        station.change(Arc::clone(&endpoint), deliverer, now);
        let sources: Vec<PullSource> = station.lines().map(|line| line.source).collect();
        for source in sources.into_iter().filter(|source| !(unordered_again && *source == PullSource::Events)) {
            self.make(PullId { station: id, source }, Duration::ZERO);
        }
        if moved {
            self.tell(HealthChange::Moved { endpoint: endpoint.id.clone() });
        }
    }

    /// What another dispatcher saw.
    pub(super) fn circuit(&mut self, endpoint: &EndpointId, open: bool) {
        let station = self.roster.of_endpoint(endpoint).and_then(|station| self.roster.get(station));
        match station {
            Some(station) if open => station.breaker.opened_elsewhere(Instant::now()),
            Some(station) => station.breaker.closed_elsewhere(),
            None => {}
        }
    }

    pub(super) fn open_retries(&mut self, station: SlotId) {
        if let Some(line) = self.roster.open_retries(station, Instant::now()) {
            self.make(line, Duration::ZERO);
        }
    }

    pub(super) fn close(&mut self, endpoint: &EndpointId, why: &str) {
        let Some(station) = self.roster.of_endpoint(endpoint) else { return };
        self.roster.close(station);
        self.shifts.end(endpoint);
        self.untried.retain(|line| line.station != station);
        self.tools.metrics.forget(endpoint);
        tracing::info!(endpoint.id = %endpoint, "no more events are taken for webhook endpoint {endpoint}: {why}");
    }
}
