//! What the worker does for endpoints that keep their chats in order: their tasks begin and end with it, and nothing is
//! in delivery on both sides.

use super::{Done, Worker};
use crate::endpoints::{
    consumer::Source,
    ordered::Shifts,
    roster::{LineId, StationId},
};
use futures::FutureExt as _;
use kurir_contract::endpoint::{EndpointId, EventOrdering};
use std::{sync::Arc, time::Duration};

/// Before what could not be released is tried again.
const RELEASE_AGAIN: Duration = Duration::from_secs(5);

impl Worker {
    /// When nothing of it is in delivery from before, its own task goes on with it.
    pub(super) fn begin_shift(&mut self, id: StationId) {
        let Some(station) = self.roster.get(id) else { return };
        if station.events.is_idle() && !self.shifts.has(&station.endpoint.id) {
            self.shifts.begin(id, Arc::clone(&station.endpoint), Arc::clone(&station.deliverer));
        }
    }

    pub(super) fn shift_ended(&mut self, endpoint: &EndpointId) {
        match self.ordering_of(endpoint) {
            Some((station, EventOrdering::Chat)) => self.make_events(station),
            Some((_, EventOrdering::None)) => self.release(endpoint.clone(), Duration::ZERO),
            // It is disabled, or deleted.
            None => {}
        }
    }

    /// What an endpoint parked that keeps no order any more, as nobody here saw the change.
    pub(super) fn look_for_parked(&mut self) {
        let broker = self.broker.clone();
        let found = async move {
            broker.wait_until_ready().await;
            Done::Parked(Shifts::parked(broker).await.unwrap_or_default())
        };
        self.jobs.push(found.boxed());
    }

    pub(super) fn found_parked(&mut self, endpoints: Vec<EndpointId>) {
        for endpoint in endpoints {
            if matches!(self.ordering_of(&endpoint), Some((_, EventOrdering::None))) && !self.shifts.has(&endpoint) {
                self.release(endpoint, Duration::ZERO);
            }
        }
    }

    fn release(&mut self, endpoint: EndpointId, pause: Duration) {
        let broker = self.broker.clone();
        let released = async move {
            tokio::time::sleep(pause).await;
            let released = Shifts::release(broker, endpoint.clone()).await;
            Done::Released(endpoint, released)
        };
        self.jobs.push(released.boxed());
    }

    /// Its events are taken by all dispatchers again, and its retries as those of others.
    pub(super) fn released(&mut self, endpoint: &EndpointId, released: anyhow::Result<()>) {
        let Some((station, EventOrdering::None)) = self.ordering_of(endpoint) else { return };
        if let Err(error) = released {
            tracing::warn!(endpoint.id = %endpoint, "what webhook endpoint {endpoint} has parked is not due yet: {error:#}");
            return self.release(endpoint.clone(), RELEASE_AGAIN);
        }
        self.make_events(station);
        self.open_retries(station);
    }

    fn make_events(&mut self, station: StationId) {
        self.make(LineId { station, source: Source::Events }, Duration::ZERO);
    }

    fn ordering_of(&mut self, endpoint: &EndpointId) -> Option<(StationId, EventOrdering)> {
        let station = self.roster.of_endpoint(endpoint)?;
        Some((station, self.roster.get(station)?.endpoint.ordering))
    }
}
