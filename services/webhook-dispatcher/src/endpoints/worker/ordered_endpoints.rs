//! Starts and stops the tasks of endpoints that keep their chats in order, so that the worker and a task never deliver
//! for one endpoint at the same time.

use crate::{
    endpoints::{
        ordered::ordered_tasks::OrderedTasks,
        worker::{DeliveryWorker, JobResult},
    },
    jetstream::consumer::{PullId, PullSource, SlotId},
};
use futures::FutureExt as _;
use kurir_contract::endpoint::{EndpointId, EventOrdering};
use std::{sync::Arc, time::Duration};

/// Wait after a failed release.
const RELEASE_RETRY_PAUSE: Duration = Duration::from_secs(5);

impl DeliveryWorker {
    /// Starts the endpoint's task when no earlier delivery is under way.
    pub(super) fn start_ordered_task(&mut self, id: SlotId) {
        let Some(slot) = self.table.get(id) else { return };
        if slot.events.is_idle() && !self.ordered_tasks.contains(&slot.endpoint.id) {
            self.ordered_tasks.start(id, Arc::clone(&slot.endpoint), Arc::clone(&slot.deliverer));
        }
    }

    pub(super) fn ordered_task_ended(&mut self, endpoint: &EndpointId) {
        match self.ordering_of(endpoint) {
            Some((slot, EventOrdering::Chat)) => self.create_events_consumer(slot),
            Some((_, EventOrdering::None)) => self.start_release(endpoint.clone(), Duration::ZERO),
            // The endpoint is disabled or deleted.
            None => {}
        }
    }

    /// Looks for parked events of endpoints that do not keep their chats in order any more: no dispatcher may have seen
    /// the change.
    pub(super) fn find_parked(&mut self) {
        let broker = self.broker.clone();
        let found = async move {
            broker.wait_until_ready().await;
            JobResult::Parked(OrderedTasks::list_parked(broker).await.unwrap_or_default())
        };
        self.jobs.push(found.boxed());
    }

    pub(super) fn release_parked(&mut self, endpoints: Vec<EndpointId>) {
        for endpoint in endpoints {
            if matches!(self.ordering_of(&endpoint), Some((_, EventOrdering::None)))
                && !self.ordered_tasks.contains(&endpoint)
            {
                self.start_release(endpoint, Duration::ZERO);
            }
        }
    }

    fn start_release(&mut self, endpoint: EndpointId, pause: Duration) {
        let broker = self.broker.clone();
        let released = async move {
            tokio::time::sleep(pause).await;
            let released = OrderedTasks::release(broker, endpoint.clone()).await;
            JobResult::Released(endpoint, released)
        };
        self.jobs.push(released.boxed());
    }

    /// Lets all dispatchers take the endpoint's events and retries again.
    pub(super) fn finish_release(&mut self, endpoint: &EndpointId, released: anyhow::Result<()>) {
        let Some((slot, EventOrdering::None)) = self.ordering_of(endpoint) else { return };
        if let Err(error) = released {
            tracing::warn!(endpoint.id = %endpoint, "failed to release the parked events of webhook endpoint {endpoint}: {error:#}");
            return self.start_release(endpoint.clone(), RELEASE_RETRY_PAUSE);
        }
        self.create_events_consumer(slot);
        self.open_retries(slot);
    }

    fn create_events_consumer(&mut self, slot: SlotId) {
        self.create_consumer(PullId { slot, source: PullSource::Events }, Duration::ZERO);
    }

    fn ordering_of(&mut self, endpoint: &EndpointId) -> Option<(SlotId, EventOrdering)> {
        let slot = self.table.find_by_endpoint(endpoint)?;
        Some((slot, self.table.get(slot)?.endpoint.ordering))
    }
}
