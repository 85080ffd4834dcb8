//! An ordered endpoint in this dispatcher: what its task works with.

use crate::{
    delivery::deliverer::EndpointDeliverer,
    endpoint::Endpoint,
    endpoints::{
        adaptive_concurrency::AdaptiveConcurrency, adaptive_pace::AdaptivePace, circuit_breaker::CircuitBreaker,
        failing_endpoints::FailingEndpoints, health_change::HealthChange, rate_limit::RateLimit,
        retry_lease::RetryLease, stream_change::adopt_stream,
    },
    jetstream::{
        consumer::{self, PullSource, SlotId},
        parked_events::ParkedEvents,
        pending_message::AckTracker,
    },
};
use anyhow::Context as _;
use async_nats::jetstream::consumer::Info;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::stream;
use std::sync::Arc;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// What a task shares with the worker.
#[derive(Clone)]
pub struct TaskContext {
    pub broker: Broker,
    pub tracker: Arc<AckTracker>,
    pub health_changes: mpsc::Sender<HealthChange>,
    pub failing: FailingEndpoints,
    /// The endpoint's slot in the worker's table.
    pub slot: SlotId,
    /// Cancelled when the endpoint is deleted.
    pub deleted: CancellationToken,
}

/// The present settings of the endpoint.
#[derive(Clone)]
pub struct CurrentEndpoint {
    pub endpoint: Arc<Endpoint>,
    pub deliverer: Arc<EndpointDeliverer>,
}

/// Why this dispatcher holds the endpoint.
pub enum HoldMode {
    /// NATS has pinned us under this id.
    Pinned(String),
    /// NATS has pinned no client, and we have the lease.
    Leased,
}

pub struct OrderedEndpoint {
    pub context: TaskContext,
    pub current: watch::Receiver<CurrentEndpoint>,
    pub stop: CancellationToken,
    pub parked: ParkedEvents,
    pub lease: RetryLease,
    pub limits: EndpointLimits,
}

/// Limits that are kept across changes of the holder.
pub struct EndpointLimits {
    pub breaker: CircuitBreaker,
    pub pace: AdaptivePace,
    pub concurrency: AdaptiveConcurrency,
    pub rate: Option<RateLimit>,
}

impl EndpointLimits {
    /// The limits of an endpoint of whose receiver nothing is known.
    #[must_use]
    pub fn new(endpoint: &Endpoint) -> Self {
        Self {
            breaker: CircuitBreaker::default(),
            pace: AdaptivePace::default(),
            concurrency: AdaptiveConcurrency::new(endpoint.concurrency),
            rate: endpoint.rate_limit.map(RateLimit::new),
        }
    }

    /// Applies changed settings. `is_new`: the URL leads to another receiver.
    pub fn update(&mut self, endpoint: &Endpoint, is_new: bool) {
        let rate = RateLimit::changed(self.rate.take(), endpoint.rate_limit);
        if is_new {
            *self = Self::new(endpoint);
        }
        self.concurrency.set_limit(endpoint.concurrency);
        self.rate = rate;
    }

    /// The receiver is back after an outage.
    pub fn restart_slowly(&mut self, now: Instant) {
        self.pace.restart(now);
        self.concurrency.restart();
    }
}

impl OrderedEndpoint {
    pub async fn new(
        context: TaskContext,
        current: watch::Receiver<CurrentEndpoint>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let endpoint = Arc::clone(&current.borrow().endpoint);
        Ok(Self {
            parked: ParkedEvents::open(context.broker.clone(), endpoint.id.clone()).await?,
            lease: RetryLease::new(context.broker.clone(), endpoint.id.to_string()),
            limits: EndpointLimits::new(&endpoint),
            context,
            current,
            stop,
        })
    }

    /// Has everything handed out again that is not acknowledged, at once and in order.
    pub async fn hand_out_again(&self) -> anyhow::Result<()> {
        let consumer = PullSource::Events.consumer_name(&self.current.borrow().endpoint.id);
        let events = self.events_stream().await?;
        events.reset_consumer(&consumer, None).await.context("failed to reset the consumer of an endpoint")?;
        Ok(())
    }

    pub async fn consumer_info(&self) -> anyhow::Result<Info> {
        let consumer = PullSource::Events.consumer_name(&self.current.borrow().endpoint.id);
        self.events_stream().await?.consumer_info(consumer).await.context("failed to read which client NATS has pinned")
    }

    pub async fn ensure_consumer(&self) -> anyhow::Result<()> {
        let endpoint = Arc::clone(&self.current.borrow().endpoint);
        let change = consumer::create_consumer(&self.context.broker, PullSource::Events, &endpoint).await?;
        match change {
            Some(change) => adopt_stream(&self.context.broker, &endpoint.id, &change).await,
            None => Ok(()),
        }
    }

    pub async fn events_stream(&self) -> anyhow::Result<async_nats::jetstream::stream::Stream<()>> {
        self.context.broker.jetstream.get_stream_no_info(stream::EVENTS).await.context("failed to open a stream")
    }
}

pub fn is_unpinned(consumer: &Info) -> bool {
    consumer.priority_groups.iter().all(|group| group.pinned_client_id.as_ref().is_none_or(String::is_empty))
}
