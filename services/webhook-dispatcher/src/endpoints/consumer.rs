//! An endpoint's two durable consumers: fresh events, and retries that are due.

use super::Endpoint;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use kurir_chassis::broker::Broker;
use kurir_contract::{stream, subject};
use std::time::Duration;

/// Where a worker's messages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// EVENTS: an event that was not tried yet.
    Events,
    /// RETRIES: an attempt whose time has come.
    Retries,
}

/// A hard wall: at it the broker hands out nothing more to any dispatcher. Far above what a dozen dispatchers have in
/// flight at the highest concurrency.
const MAX_ACK_PENDING: i64 = 20_000;
/// Pull requests that wait at the broker: a dispatcher has up to eight of them.
const MAX_WAITING: i64 = 2_048;
/// The longest pause between two tries to make a consumer that the broker refuses.
const PAUSE_CAP: Duration = Duration::from_secs(5);

impl Source {
    #[must_use]
    pub fn task_name(self) -> &'static str {
        match self {
            Self::Events => "webhook deliveries",
            Self::Retries => "webhook retries",
        }
    }

    /// How many deliveries from it an endpoint takes at once.
    pub(super) fn slots(self, endpoint: &Endpoint) -> usize {
        match self {
            Self::Events => endpoint.concurrency,
            Self::Retries => endpoint.retry_concurrency(),
        }
    }

    fn stream(self) -> &'static str {
        match self {
            Self::Events => stream::EVENTS,
            Self::Retries => stream::RETRIES,
        }
    }

    fn consumer(self, endpoint: &Endpoint) -> pull::Config {
        let (name, filter_subject) = match self {
            Self::Events => (endpoint.id.consumer(), subject::ALL_EVENTS.to_owned()),
            Self::Retries => (endpoint.id.retries_consumer(), subject::due_retries(&endpoint.id)),
        };
        pull::Config {
            durable_name: Some(name),
            filter_subject,
            // The endpoint `default` begins at the first stored event; a work queue allows nothing else.
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: endpoint.ack_wait,
            // The broker's count must never end a delivery: we do, with a dead letter.
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            max_waiting: MAX_WAITING,
            ..pull::Config::default()
        }
    }
}

/// Waits until the broker, the stream and the consumer are there, and makes what is missing. Tries for ever.
pub(super) async fn ready(broker: &Broker, source: Source, endpoint: &Endpoint) -> Consumer<pull::Config> {
    let mut pause = Duration::from_millis(100);
    loop {
        broker.ready().await;
        let made = broker.jetstream.create_consumer_on_stream(source.consumer(endpoint), source.stream()).await;
        match made {
            Ok(consumer) => return consumer,
            Err(error) => tracing::warn!(
                endpoint.id = %endpoint.id,
                "failed to make the consumer of webhook {} on {}, trying again: {error}",
                endpoint.id,
                source.stream()
            ),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_CAP);
    }
}
