//! Events that are delivered again because somebody asked for it. A replay is retries that are due now.
//!
//! [`ReplayService`] is what the commands ask: it stores a replay in the bucket (`record`) and gives its answer. The [`ReplayScheduler`]
//! finds each one that runs and has a `feeder` move its events, from the consumer of `supply`, into RETRIES, never more
//! than `ahead` allows; `progress` counts what is left and writes the end. All the rest is what every delivery does:
//! the endpoint's retries are delivered under the same `webhook-id`, marked as a replay, with the endpoint's own retry
//! policy, and a dead letter that is delivered is removed.
//!
//! Every dispatcher feeds every replay: their consumer shares the work. One that dies has moved a message and not
//! acknowledged it at the worst, and RETRIES knows a message that is moved twice.

mod copier;
mod progress;
mod record;
pub mod scheduler;
pub mod service;
mod source;
mod window;

use crate::{
    endpoints::{lookup::EndpointLookup, watcher::EndpointChange},
    replay::{scheduler::ReplayScheduler, service::ReplayService},
};
use kurir_chassis::broker::Broker;
use tokio::sync::mpsc;

/// Replays that begin and that the scheduler has not heard of. It finds those that find no room.
const BEGUN: usize = 16;

/// What answers the commands, and what copies the events. `changes`: what a worker hears.
#[must_use]
pub fn open_replays(
    broker: Broker,
    directory: EndpointLookup,
    changes: mpsc::Sender<EndpointChange>,
) -> (ReplayService, ReplayScheduler) {
    let (begun, begins) = mpsc::channel(BEGUN);
    let service = ReplayService::new(broker, directory, changes, begun);
    (service.clone(), ReplayScheduler::new(service, begins))
}
