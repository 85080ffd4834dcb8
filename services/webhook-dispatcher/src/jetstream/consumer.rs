//! An endpoint's two durable consumers: one for fresh events, one for retries that are due.

use crate::{
    endpoint::Endpoint,
    jetstream::{
        events_identity::{EventsIdentity, StartCheck},
        pinned_pull,
    },
};
use anyhow::Context as _;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PriorityPolicy, pull};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    endpoint::{EndpointId, EventOrdering},
    stream, subject,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::OnceCell, time::Instant};

/// Where the messages of a pull come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PullSource {
    /// EVENTS: an event that was not tried yet.
    Events,
    /// RETRIES: an attempt whose time has come.
    Retries,
}

/// Identifies an endpoint while the worker has it open. An id is never used again, so a late message about a closed
/// endpoint finds no slot.
pub type SlotId = u64;

/// Identifies the pull of one endpoint from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PullId {
    pub slot: SlotId,
    pub source: PullSource,
}

/// NATS hands out nothing more to any dispatcher beyond this number. It is far above what a dozen dispatchers have in
/// flight at the highest concurrency, unrecorded attempts included.
const MAX_ACK_PENDING: i64 = 20_000;
/// The most pull requests that wait in NATS. A dispatcher has up to eight of them.
const MAX_WAITING: i64 = 2_048;

/// The `ack_wait` of an ordered endpoint. Nothing depends on it: a dispatcher that takes over has everything handed out
/// again that is not acknowledged, and a lost message leaves a gap that shows. It is long because events wait for their
/// turn.
const ORDERED_ACK_WAIT: Duration = Duration::from_secs(10 * 60);

impl PullSource {
    /// The most deliveries from this source at once, if so many fresh events may be in delivery.
    pub fn share_of(self, concurrency: usize) -> usize {
        match self {
            Self::Events => concurrency,
            Self::Retries => Endpoint::retry_share(concurrency),
        }
    }

    pub fn stream(self) -> &'static str {
        match self {
            Self::Events => stream::EVENTS,
            Self::Retries => stream::RETRIES,
        }
    }

    /// The inverse of [`stream`](Self::stream).
    pub fn from_stream(name: &str) -> Option<Self> {
        [Self::Events, Self::Retries].into_iter().find(|source| source.stream() == name)
    }

    /// The name of the durable consumer.
    pub fn consumer_name(self, endpoint: &EndpointId) -> String {
        match self {
            Self::Events => endpoint.consumer_name(),
            Self::Retries => endpoint.retries_consumer_name(),
        }
    }
}

/// The stream EVENTS is not the one that an endpoint's settings name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamChange {
    /// When the present stream was created.
    pub created: String,
    /// Whether the settings name another stream; otherwise they name none.
    pub is_new: bool,
}

/// Creates the consumer, or updates the existing one. Each dispatcher does so, with the same settings. Gives the change of
/// the stream that the endpoint's settings do not have yet.
pub async fn create_consumer(
    broker: &Broker,
    source: PullSource,
    endpoint: &Endpoint,
) -> anyhow::Result<Option<StreamChange>> {
    match try_create_consumer(broker, source, endpoint).await {
        Ok(change) => Ok(change),
        // Streams may be missing, or NATS may be away. Then the refused request is repeated once.
        Err(refused) => {
            broker.wait_until_ready().await;
            try_create_consumer(broker, source, endpoint).await.map_err(|_| refused)
        }
    }
}

async fn try_create_consumer(
    broker: &Broker,
    source: PullSource,
    endpoint: &Endpoint,
) -> anyhow::Result<Option<StreamChange>> {
    let mut config = consumer_config(source, endpoint);
    let mut change = None;
    if source == PullSource::Events {
        let identity = EventsIdentity::read(broker).await?;
        let check = identity.check_start(endpoint.start_sequence, endpoint.stream_created.as_deref());
        if check == StartCheck::Replaced {
            config.deliver_policy = DeliverPolicy::All;
        }
        let is_new = check == StartCheck::Replaced;
        change = (check != StartCheck::Same).then_some(StreamChange { created: identity.created, is_new });
    }
    let what = || format!("failed to create its consumer on {}", source.stream());
    let made = broker.jetstream.create_consumer_on_stream(config.clone(), source.stream()).await;
    if made.is_err() && change.as_ref().is_some_and(|change| change.is_new) {
        // It was created with the old position, which NATS does not change.
        let stream = broker.jetstream.get_stream_no_info(source.stream()).await.with_context(what)?;
        stream.delete_consumer(&source.consumer_name(&endpoint.id)).await.with_context(what)?;
        broker.jetstream.create_consumer_on_stream(config, source.stream()).await.with_context(what)?;
        return Ok(change);
    }
    made.with_context(what)?;
    Ok(change)
}

/// An endpoint's consumer on RETRIES. It must exist before the endpoint's first retry: the dispatchers find retries by
/// their consumers, and the dispatcher that stores a retry may die at once.
pub struct RetriesConsumer {
    endpoint: Arc<Endpoint>,
    created: OnceCell<()>,
}

impl RetriesConsumer {
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, created: OnceCell::new() }
    }

    /// Creates the consumer, unless this was done before.
    ///
    /// # Errors
    /// If the consumer could not be created until `by`.
    pub async fn ensure(&self, broker: &Broker, by: Instant) -> anyhow::Result<()> {
        let made = self
            .created
            .get_or_try_init(|| async { create_consumer(broker, PullSource::Retries, &self.endpoint).await.map(drop) });
        tokio::time::timeout_at(by, made).await.context("its consumer on RETRIES was not created in time")??;
        Ok(())
    }
}

fn consumer_config(source: PullSource, endpoint: &Endpoint) -> pull::Config {
    let deliver_policy = match source {
        // A work queue allows nothing else.
        PullSource::Retries => DeliverPolicy::All,
        // The endpoint `default` starts with the first stored event, the others at their creation.
        PullSource::Events if endpoint.start_sequence == 0 => DeliverPolicy::All,
        PullSource::Events => DeliverPolicy::ByStartSequence { start_sequence: endpoint.start_sequence },
    };
    let mut settings = pull::Config {
        durable_name: Some(source.consumer_name(&endpoint.id)),
        deliver_policy,
        ack_policy: AckPolicy::Explicit,
        ack_wait: endpoint.ack_wait,
        // NATS must never end a delivery: the dispatcher does so, with a dead letter.
        max_deliver: -1,
        max_ack_pending: MAX_ACK_PENDING,
        max_waiting: MAX_WAITING,
        ..pull::Config::default()
    };
    match (source, &endpoint.subjects[..]) {
        (PullSource::Retries, _) => settings.filter_subject = subject::due_retries(&endpoint.id),
        (PullSource::Events, [one]) => settings.filter_subject.clone_from(one),
        (PullSource::Events, several) => settings.filter_subjects = several.to_vec(),
    }
    if source == PullSource::Events && endpoint.ordering == EventOrdering::Chat {
        // NATS accepts this change of an existing consumer, and its reversal.
        settings.priority_policy = PriorityPolicy::PinnedClient;
        settings.priority_groups = vec![pinned_pull::GROUP.to_owned()];
        settings.priority_timeout = pinned_pull::PRIORITY_TIMEOUT;
        settings.ack_wait = ORDERED_ACK_WAIT;
    }
    settings
}

/// Removes what a deleted endpoint leaves: its consumers and its retries.
pub async fn remove_consumers(broker: &Broker, endpoint: &EndpointId) -> anyhow::Result<()> {
    for source in [PullSource::Events, PullSource::Retries] {
        let stream = broker.jetstream.get_stream_no_info(source.stream()).await.context("failed to open a stream")?;
        // Most endpoints have no retries, and another dispatcher may have removed the consumer.
        let _ = stream.delete_consumer(&source.consumer_name(endpoint)).await;
        if source == PullSource::Retries {
            stream.purge().filter(subject::retries_of(endpoint)).await.context("failed to purge its retries")?;
        }
    }
    Ok(())
}

/// The endpoints that have a consumer on the source's stream.
pub async fn list_endpoints(broker: &Broker, source: PullSource) -> anyhow::Result<Vec<EndpointId>> {
    use futures::TryStreamExt as _;
    let stream = broker.jetstream.get_stream_no_info(source.stream()).await.context("failed to open a stream")?;
    let names: Vec<String> = stream.consumer_names().try_collect().await.context("failed to list consumers")?;
    Ok(names.iter().filter_map(|name| EndpointId::from_consumer_name(name)).collect())
}
