//! Delivers events again on request. A replay is a set of retries that are due now.
//!
//! [`ReplayService`] answers the commands: it stores a replay in the bucket (`record`). The [`ReplayScheduler`] finds
//! each running replay and has the `copier` copy its events into RETRIES, no more than the `window` allows: in the order of
//! the events (`event_order`), as `event_supply` reads them ahead. A single dead letter comes from the consumer of its
//! `source`; `selected` begins replays of events that are named one by one. `progress` counts what is left and writes the end. From there on a replay is like every delivery: the
//! endpoint's retries are delivered under the same `webhook-id`, marked as a replay, with the endpoint's own retry
//! policy. A dead letter that is delivered is removed.
//!
//! One dispatcher copies, which has a lease. At worst it dies after it has copied a message and before it has stored how far
//! it came; RETRIES then recognizes the second copy.

mod copier;
mod event_order;
mod event_supply;
mod progress;
mod record;
pub mod scheduler;
mod selected;
pub mod service;
mod source;
mod window;

use crate::{
    endpoints::{lookup::EndpointLookup, watcher::EndpointChange},
    replay::{scheduler::ReplayScheduler, service::ReplayService},
};
use kurir_chassis::broker::Broker;
use tokio::sync::mpsc;

/// New replays that wait for the scheduler. If there is no room, it finds the replay in the bucket.
const NEW_REPLAY_QUEUE: usize = 16;

/// Creates the service for the commands and the scheduler that copies the events. `changes` lead to the worker.
#[must_use]
pub fn open_replays(
    broker: Broker,
    endpoints: EndpointLookup,
    changes: mpsc::Sender<EndpointChange>,
) -> (ReplayService, ReplayScheduler) {
    let (new_replays, new_replays_inbox) = mpsc::channel(NEW_REPLAY_QUEUE);
    let service = ReplayService::new(broker, endpoints, changes, new_replays);
    (service.clone(), ReplayScheduler::new(service, new_replays_inbox))
}
