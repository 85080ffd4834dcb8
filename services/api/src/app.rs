//! What every request can reach: the settings that matter to it, the way to a gateway, to the webhook, the counters.

use crate::{
    auth::ApiKey, byte_budget::ByteBudget, config::Config, dead_letters::DeadLetters,
    dispatcher_client::DispatcherClient, endpoints::Endpoints, events::Events, gateway_client::GatewayClient,
    jobs::Jobs, metrics::Metrics, replays::Replays, uploads::Uploads,
};
use kurir_chassis::{broker::Broker, health::Health};
use kurir_contract::address_guard::NetworkList;
use std::{future::Future, sync::Arc, time::Instant};
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;

/// Cheap to clone: all of it is shared.
#[derive(Clone)]
pub struct App(Arc<Inner>);

pub struct Inner {
    pub started: Instant,
    pub environment: String,
    pub webhook_url: Option<String>,
    pub api_key: ApiKey,
    pub broker: Broker,
    pub health: Health,
    pub gateway: GatewayClient,
    pub jobs: Jobs,
    pub events: Events,
    pub allowed_networks: NetworkList,
    pub endpoints: Endpoints,
    pub dead_letters: DeadLetters,
    pub replays: Replays,
    pub dispatchers: DispatcherClient,
    pub uploads: Uploads,
    pub byte_budget: ByteBudget,
    pub metrics: Metrics,
    sends: TaskTracker,
}

impl App {
    pub fn new(config: &Config, broker: Broker, health: Health) -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            environment: config.node_env.clone(),
            webhook_url: config.webhook_url().map(str::to_owned),
            // An empty key, which the settings refuse, opens nothing.
            api_key: config.api_key.clone().unwrap_or_default(),
            gateway: GatewayClient::new(broker.clone()),
            jobs: Jobs::new(broker.clone()),
            events: Events::new(broker.clone()),
            // Settings that cannot be read are refused; none are opened then.
            allowed_networks: config.allowed_networks().unwrap_or_default(),
            endpoints: Endpoints::new(broker.clone()),
            dead_letters: DeadLetters::new(broker.clone()),
            replays: Replays::new(broker.clone()),
            dispatchers: DispatcherClient::new(broker.clone()),
            uploads: Uploads::new(broker.clone(), config.media_upload_max.clone()),
            byte_budget: ByteBudget::new(config.limits.max_bytes_in_flight.bytes),
            metrics: Metrics::new(time::OffsetDateTime::now_utc()),
            broker,
            health,
            sends: TaskTracker::new(),
        }))
    }

    /// Carries a send to its end even if its caller goes away meanwhile: the gateway does it in any case, and a send
    /// that nobody counted would be missing in the metrics.
    ///
    /// # Errors
    /// If it panicked.
    pub async fn carry<F>(&self, send: F) -> Result<F::Output, JoinError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.sends.spawn(send).await
    }

    /// Whether the shutdown was asked for: what has not begun should not begin any more.
    pub fn is_stopping(&self) -> bool {
        self.sends.is_closed()
    }

    /// Waits until no send is under way; called at the shutdown, whose deadline is the caller's.
    pub async fn end_of_sends(&self) {
        self.sends.close();
        self.sends.wait().await;
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
