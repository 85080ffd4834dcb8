//! The tasks of all ordered endpoints in this dispatcher: begun, changed and ended by the worker, which hears of their
//! end.

use crate::{
    delivery::deliverer::EndpointDeliverer,
    endpoint::Endpoint,
    endpoints::{
        failing_endpoints::FailingEndpoints,
        health_change::HealthChange,
        ordered::ordered_endpoint::{CurrentEndpoint, OrderedEndpoint, TaskContext},
    },
    jetstream::{
        parked_events::{self, ParkedEvents},
        pending_message::AckTracker,
    },
};
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::endpoint::EndpointId;
use std::{collections::HashMap, sync::Arc};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

pub struct OrderedTasks {
    broker: Broker,
    tracker: Arc<AckTracker>,
    news: mpsc::Sender<HealthChange>,
    failing: FailingEndpoints,
    running: HashMap<EndpointId, TaskHandle>,
    tasks: JoinSet<EndpointId>,
}

struct TaskHandle {
    current: watch::Sender<CurrentEndpoint>,
    stop: CancellationToken,
    deleted: CancellationToken,
}

impl OrderedTasks {
    #[must_use]
    pub fn new(
        broker: Broker,
        tracker: Arc<AckTracker>,
        news: mpsc::Sender<HealthChange>,
        failing: FailingEndpoints,
    ) -> Self {
        Self { broker, tracker, news, failing, running: HashMap::new(), tasks: JoinSet::new() }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Also one that is about to end.
    #[must_use]
    pub fn has(&self, endpoint: &EndpointId) -> bool {
        self.running.contains_key(endpoint)
    }

    /// The endpoint as it is from now on, if it has a task.
    pub fn change(&self, endpoint: &Arc<Endpoint>, deliverer: &Arc<EndpointDeliverer>) {
        if let Some(shift) = self.running.get(&endpoint.id) {
            let current = CurrentEndpoint { endpoint: Arc::clone(endpoint), deliverer: Arc::clone(deliverer) };
            shift.current.send_replace(current);
        }
    }

    /// Begins the task of an endpoint that has none. `station`: of the worker's list.
    pub fn begin(&mut self, slot: u64, endpoint: Arc<Endpoint>, deliverer: Arc<EndpointDeliverer>) {
        let (broker, tracker, news) = (self.broker.clone(), Arc::clone(&self.tracker), self.news.clone());
        let (id, stop, deleted) = (endpoint.id.clone(), CancellationToken::new(), CancellationToken::new());
        let failing = self.failing.clone();
        let work = TaskContext { broker, tracker, news, failing, slot, deleted: deleted.clone() };
        let (sender, current) = watch::channel(CurrentEndpoint { endpoint, deliverer });
        self.running.insert(id.clone(), TaskHandle { current: sender, stop: stop.clone(), deleted });
        self.tasks.spawn(async move {
            match OrderedEndpoint::new(work, current, stop).await {
                Ok(task) => task.run().await,
                Err(error) => tracing::warn!("the order of a webhook endpoint cannot be kept: {error:#}"),
            }
            id
        });
    }

    /// What it has begun ends first.
    pub fn end(&self, endpoint: &EndpointId) {
        if let Some(shift) = self.running.get(endpoint) {
            shift.stop.cancel();
        }
    }

    /// The same, and nothing more is parked: nobody would ever look for it.
    pub fn delete(&self, endpoint: &EndpointId) {
        if let Some(shift) = self.running.get(endpoint) {
            shift.deleted.cancel();
            shift.stop.cancel();
        }
    }

    pub fn end_all(&self) {
        self.running.values().for_each(|shift| shift.stop.cancel());
    }

    /// Waits for the next that ends; for ever while there is none.
    ///
    /// # Errors
    /// If it panicked.
    pub async fn ended(&mut self) -> anyhow::Result<EndpointId> {
        match self.tasks.join_next().await {
            Some(ended) => {
                let endpoint = ended?;
                self.running.remove(&endpoint);
                Ok(endpoint)
            }
            None => std::future::pending().await,
        }
    }

    /// Nobody keeps the order of this endpoint any more: what is parked is due.
    ///
    /// # Errors
    /// If the broker does not take it; then some may be parked still.
    pub async fn release(broker: Broker, endpoint: EndpointId) -> anyhow::Result<()> {
        ParkedEvents::open(broker, endpoint).await?.release().await
    }

    /// The endpoints that have something parked.
    ///
    /// # Errors
    /// If the broker does not say.
    pub async fn parked(broker: Broker) -> anyhow::Result<Vec<EndpointId>> {
        parked_events::endpoints(&broker).await
    }
}
