//! An endpoint's two durable consumers: fresh events, and retries that are due.

use super::{Endpoint, ordered};
use anyhow::Context as _;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PriorityPolicy, pull};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    endpoint::{EndpointId, EventOrdering},
    stream, subject,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::OnceCell, time::Instant};

/// Where a line's messages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// EVENTS: an event that was not tried yet.
    Events,
    /// RETRIES: an attempt whose time has come.
    Retries,
}

/// A hard wall: at it the broker hands out nothing more to any dispatcher. Far above what a dozen dispatchers have in
/// flight at the highest concurrency, and what waits for its record.
const MAX_ACK_PENDING: i64 = 20_000;
/// Pull requests that wait at the broker: a dispatcher has up to eight of them.
const MAX_WAITING: i64 = 2_048;

/// Of an ordered endpoint. Whoever takes over has all that is not acknowledged handed out again at once, and a message
/// that got lost on its way leaves a gap that shows, so nothing depends on this; and events wait for their turn.
const ORDERED_ACK_WAIT: Duration = Duration::from_secs(10 * 60);

impl Source {
    /// How many deliveries from it an endpoint takes at once.
    pub(super) fn slots(self, endpoint: &Endpoint) -> usize {
        match self {
            Self::Events => endpoint.concurrency,
            Self::Retries => endpoint.retry_concurrency(),
        }
    }

    pub(super) fn stream(self) -> &'static str {
        match self {
            Self::Events => stream::EVENTS,
            Self::Retries => stream::RETRIES,
        }
    }

    /// The inverse of [`stream`](Self::stream).
    pub(super) fn of_stream(name: &str) -> Option<Self> {
        [Self::Events, Self::Retries].into_iter().find(|source| source.stream() == name)
    }

    /// Its durable consumer's name.
    pub(super) fn consumer(self, endpoint: &EndpointId) -> String {
        match self {
            Self::Events => endpoint.consumer_name(),
            Self::Retries => endpoint.retries_consumer_name(),
        }
    }
}

/// Makes the consumer, or changes the one that is there. Each dispatcher does so, and all ask for the same.
pub(super) async fn make(broker: &Broker, source: Source, endpoint: &Endpoint) -> anyhow::Result<()> {
    let made = broker.jetstream.create_consumer_on_stream(config(source, endpoint), source.stream()).await;
    let Err(refused) = made else { return Ok(()) };
    // Streams may be missing, or NATS away; then what was refused is tried once more.
    broker.wait_until_ready().await;
    match broker.jetstream.create_consumer_on_stream(config(source, endpoint), source.stream()).await {
        Ok(_) => Ok(()),
        Err(_) => Err(refused).with_context(|| format!("failed to make its consumer on {}", source.stream())),
    }
}

/// An endpoint's consumer on RETRIES, which must be there before its first retry is: the dispatchers hear of retries by
/// their consumers, and who keeps one may die at once.
pub struct RetriesConsumer {
    endpoint: Arc<Endpoint>,
    seen: OnceCell<()>,
}

impl RetriesConsumer {
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, seen: OnceCell::new() }
    }

    /// Makes it if it was not seen yet.
    ///
    /// # Errors
    /// If it could not be made until `by`.
    pub async fn ready(&self, broker: &Broker, by: Instant) -> anyhow::Result<()> {
        let made = self.seen.get_or_try_init(|| make(broker, Source::Retries, &self.endpoint));
        tokio::time::timeout_at(by, made).await.context("its consumer on RETRIES could not be made in time")??;
        Ok(())
    }
}

fn config(source: Source, endpoint: &Endpoint) -> pull::Config {
    let deliver_policy = match source {
        // A work queue allows nothing else.
        Source::Retries => DeliverPolicy::All,
        // The endpoint `default` begins at the first stored event, the others at their making.
        Source::Events if endpoint.start_sequence == 0 => DeliverPolicy::All,
        Source::Events => DeliverPolicy::ByStartSequence { start_sequence: endpoint.start_sequence },
    };
    let mut config = pull::Config {
        durable_name: Some(source.consumer(&endpoint.id)),
        deliver_policy,
        ack_policy: AckPolicy::Explicit,
        ack_wait: endpoint.ack_wait,
        // The broker's count must never end a delivery: we do, with a dead letter.
        max_deliver: -1,
        max_ack_pending: MAX_ACK_PENDING,
        max_waiting: MAX_WAITING,
        ..pull::Config::default()
    };
    match (source, &endpoint.subjects[..]) {
        (Source::Retries, _) => config.filter_subject = subject::due_retries(&endpoint.id),
        (Source::Events, [one]) => config.filter_subject.clone_from(one),
        (Source::Events, several) => config.filter_subjects = several.to_vec(),
    }
    if source == Source::Events && endpoint.ordering == EventOrdering::Chat {
        // NATS takes this change, and the one back, of a consumer that is there.
        config.priority_policy = PriorityPolicy::PinnedClient;
        config.priority_groups = vec![ordered::GROUP.to_owned()];
        config.priority_timeout = ordered::PRIORITY_TIMEOUT;
        config.ack_wait = ORDERED_ACK_WAIT;
    }
    config
}

/// Removes what a deleted endpoint leaves: its consumers, and the retries that nobody will make.
pub(super) async fn remove(broker: &Broker, endpoint: &EndpointId) -> anyhow::Result<()> {
    for source in [Source::Events, Source::Retries] {
        let stream = broker.jetstream.get_stream_no_info(source.stream()).await.context("failed to name a stream")?;
        // Most have no retries, and another dispatcher may have been here first.
        let _ = stream.delete_consumer(&source.consumer(endpoint)).await;
        if source == Source::Retries {
            stream.purge().filter(subject::retries_of(endpoint)).await.context("failed to purge its retries")?;
        }
    }
    Ok(())
}

/// The endpoints that have a consumer on a stream.
pub(super) async fn endpoints(broker: &Broker, source: Source) -> anyhow::Result<Vec<EndpointId>> {
    use futures::TryStreamExt as _;
    let stream = broker.jetstream.get_stream_no_info(source.stream()).await.context("failed to name a stream")?;
    let names: Vec<String> = stream.consumer_names().try_collect().await.context("failed to list consumers")?;
    Ok(names.iter().filter_map(|name| EndpointId::from_consumer_name(name)).collect())
}
