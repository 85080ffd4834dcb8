//! An ordered endpoint as its task has it.

use crate::{
    delivery::deliverer::EndpointDeliverer,
    endpoint::Endpoint,
    endpoints::{
        circuit_breaker::CircuitBreaker, failing_endpoints::FailingEndpoints, health_change::HealthChange,
        ordered::retry_lease::RetryLease, rate_limit::RateLimit,
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
use tokio::sync::{mpsc, watch};

/// What a task works with.
#[derive(Clone)]
pub struct TaskContext {
    pub broker: Broker,
    pub tracker: Arc<AckTracker>,
    pub news: mpsc::Sender<HealthChange>,
    pub failing: FailingEndpoints,
    /// Of the worker's list.
    pub slot: SlotId,
    /// The endpoint is.
    pub deleted: CancellationToken,
}

/// The endpoint as it is at the moment.
#[derive(Clone)]
pub struct CurrentEndpoint {
    pub endpoint: Arc<Endpoint>,
    pub deliverer: Arc<EndpointDeliverer>,
}

/// Why the endpoint is held.
pub enum HoldMode {
    /// NATS serves us under this id.
    Pinned(String),
    /// NATS serves nobody.
    Leased,
}

pub struct OrderedEndpoint {
    pub work: TaskContext,
    pub current: watch::Receiver<CurrentEndpoint>,
    pub stop: CancellationToken,
    pub parked: ParkedEvents,
    pub lease: RetryLease,
    pub limits: EndpointLimits,
}

/// They outlast the place.
pub struct EndpointLimits {
    pub breaker: CircuitBreaker,
    pub rate: Option<RateLimit>,
}

impl OrderedEndpoint {
    pub async fn new(
        work: TaskContext,
        current: watch::Receiver<CurrentEndpoint>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let endpoint = Arc::clone(&current.borrow().endpoint);
        Ok(Self {
            parked: ParkedEvents::open(work.broker.clone(), endpoint.id.clone()).await?,
            lease: RetryLease::new(work.broker.clone(), endpoint.id.clone()),
            limits: EndpointLimits { breaker: CircuitBreaker::default(), rate: None },
            work,
            current,
            stop,
        })
    }

    /// All that is not acknowledged, at once and in its order.
    pub async fn hand_out_again(&self) -> anyhow::Result<()> {
        let consumer = PullSource::Events.consumer(&self.current.borrow().endpoint.id);
        let events = self.events().await?;
        events.reset_consumer(&consumer, None).await.context("failed to have events handed out again")?;
        Ok(())
    }

    pub async fn consumer(&self) -> anyhow::Result<Info> {
        let consumer = PullSource::Events.consumer(&self.current.borrow().endpoint.id);
        self.events().await?.consumer_info(consumer).await.context("failed to see whom NATS serves")
    }

    pub async fn make_consumer(&self) -> anyhow::Result<()> {
        let endpoint = Arc::clone(&self.current.borrow().endpoint);
        consumer::make(&self.work.broker, PullSource::Events, &endpoint).await
    }

    pub async fn events(&self) -> anyhow::Result<async_nats::jetstream::stream::Stream<()>> {
        self.work.broker.jetstream.get_stream_no_info(stream::EVENTS).await.context("failed to name a stream")
    }
}

pub fn is_nobodys(consumer: &Info) -> bool {
    consumer.priority_groups.iter().all(|group| group.pinned_client_id.as_ref().is_none_or(String::is_empty))
}
