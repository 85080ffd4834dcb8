//! The tasks of all ordered endpoints in this dispatcher. The worker starts, updates and stops them, and learns of
//! their end.

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
    health_changes: mpsc::Sender<HealthChange>,
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
        health_changes: mpsc::Sender<HealthChange>,
        failing: FailingEndpoints,
    ) -> Self {
        Self { broker, tracker, health_changes, failing, running: HashMap::new(), tasks: JoinSet::new() }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether the endpoint has a task, also one that is about to end.
    #[must_use]
    pub fn contains(&self, endpoint: &EndpointId) -> bool {
        self.running.contains_key(endpoint)
    }

    /// Passes changed settings to the endpoint's task, if there is one.
    pub fn update(&self, endpoint: &Arc<Endpoint>, deliverer: &Arc<EndpointDeliverer>) {
        if let Some(task) = self.running.get(&endpoint.id) {
            let current = CurrentEndpoint { endpoint: Arc::clone(endpoint), deliverer: Arc::clone(deliverer) };
            task.current.send_replace(current);
        }
    }

    /// Starts the task of an endpoint that has none. `slot`: in the worker's table.
    pub fn start(&mut self, slot: u64, endpoint: Arc<Endpoint>, deliverer: Arc<EndpointDeliverer>) {
        let (broker, tracker, health_changes) =
            (self.broker.clone(), Arc::clone(&self.tracker), self.health_changes.clone());
        let (id, stop, deleted) = (endpoint.id.clone(), CancellationToken::new(), CancellationToken::new());
        let failing = self.failing.clone();
        let context = TaskContext { broker, tracker, health_changes, failing, slot, deleted: deleted.clone() };
        let (sender, current) = watch::channel(CurrentEndpoint { endpoint, deliverer });
        self.running.insert(id.clone(), TaskHandle { current: sender, stop: stop.clone(), deleted });
        self.tasks.spawn(async move {
            match OrderedEndpoint::new(context, current, stop).await {
                Ok(task) => task.run().await,
                Err(error) => tracing::warn!("failed to start the task of an ordered webhook endpoint: {error:#}"),
            }
            id
        });
    }

    /// Stops a task. What it has started ends first.
    pub fn stop(&self, endpoint: &EndpointId) {
        if let Some(task) = self.running.get(endpoint) {
            task.stop.cancel();
        }
    }

    /// Stops the task of a deleted endpoint. It parks nothing more: no dispatcher would ever look for it.
    pub fn stop_deleted(&self, endpoint: &EndpointId) {
        if let Some(task) = self.running.get(endpoint) {
            task.deleted.cancel();
            task.stop.cancel();
        }
    }

    pub fn stop_all(&self) {
        self.running.values().for_each(|task| task.stop.cancel());
    }

    /// Waits for the next task that ends; forever while there is none.
    ///
    /// # Errors
    /// If the task panicked.
    pub async fn next_ended(&mut self) -> anyhow::Result<EndpointId> {
        match self.tasks.join_next().await {
            Some(ended) => {
                let endpoint = ended?;
                self.running.remove(&endpoint);
                Ok(endpoint)
            }
            None => std::future::pending().await,
        }
    }

    /// Makes all parked events of an endpoint due that does not keep its chats in order any more.
    ///
    /// # Errors
    /// If NATS does not accept it. Then some may still be parked.
    pub async fn release(broker: Broker, endpoint: EndpointId) -> anyhow::Result<()> {
        ParkedEvents::open(broker, endpoint).await?.release().await
    }

    /// The endpoints that have parked events.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn list_parked(broker: Broker) -> anyhow::Result<Vec<EndpointId>> {
        parked_events::list_endpoints(&broker).await
    }
}
