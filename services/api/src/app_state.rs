//! What every request can reach: the settings that matter to it, the way to a gateway, to the webhook, the counters.

use crate::{
    api_key::ApiKey,
    byte_budget::ByteBudget,
    config::ApiConfig,
    conversion::FileConverter,
    dead_letter_store::DeadLetterStore,
    dispatcher_client::DispatcherClient,
    endpoint_store::EndpointStore,
    event_publisher::EventPublisher,
    event_stream::StreamSlots,
    gateway_client::GatewayClient,
    index::EventIndex,
    job_store::JobStore,
    keys::{KeyRates, KeyTable, LoginCookies},
    message_lookup::MessageLookup,
    metrics::ApiMetrics,
    replay_store::ReplayStore,
    request_metrics::RequestMetrics,
    routes::health::LastPings,
    session_store::SessionStore,
    uploads::UploadStore,
    wrong_keys::WrongKeys,
};
use kurir_chassis::{broker::Broker, health::Health, metrics::MetricsRegistry, webhook_settings::WebhookSettings};
use kurir_contract::{address_guard::NetworkList, clock};
use std::{future::Future, sync::Arc, time::Instant};
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use url::Url;

/// Cheap to clone: all of it is shared.
#[derive(Clone)]
pub struct AppState(Arc<SharedState>);

pub struct SharedState {
    pub started: Instant,
    pub environment: String,
    pub webhook_url: Option<String>,
    /// The simulated WhatsApp of the demo.
    pub simulator_url: Option<Url>,
    /// What the environment says about the endpoint `default`.
    pub webhook: WebhookSettings,
    pub api_key: ApiKey,
    pub broker: Broker,
    pub health: Health,
    pub gateway: GatewayClient,
    pub job_store: JobStore,
    pub session_store: SessionStore,
    pub messages: MessageLookup,
    pub events: EventPublisher,
    pub allowed_networks: NetworkList,
    /// From where files may be fetched.
    pub media_networks: NetworkList,
    pub endpoint_store: EndpointStore,
    pub dead_letter_store: DeadLetterStore,
    pub replay_store: ReplayStore,
    pub dispatchers: DispatcherClient,
    pub uploads: UploadStore,
    pub converter: FileConverter,
    pub byte_budget: ByteBudget,
    pub wrong_keys: WrongKeys,
    pub last_pings: LastPings,
    pub metrics: ApiMetrics,
    /// What `/metrics` shows of the requests.
    pub requests: RequestMetrics,
    pub index: EventIndex,
    pub keys: KeyTable,
    pub key_rates: KeyRates,
    pub login_cookies: LoginCookies,
    pub stream_slots: StreamSlots,
    sends: TaskTracker,
}

impl AppState {
    pub fn new(config: &ApiConfig, broker: Broker, health: Health, metrics: &MetricsRegistry) -> Self {
        Self(Arc::new(SharedState {
            started: Instant::now(),
            environment: config.node_env.clone(),
            webhook_url: config.webhook_url().map(str::to_owned),
            simulator_url: config.simulator_url().and_then(|url| url.parse().ok()),
            webhook: config.webhook.clone(),
            // An empty key, which the settings refuse, opens nothing.
            api_key: config.api_key.clone().unwrap_or_default(),
            gateway: GatewayClient::new(broker.clone()),
            job_store: JobStore::new(broker.clone()),
            session_store: SessionStore::new(broker.clone()),
            messages: MessageLookup::new(broker.clone()),
            events: EventPublisher::new(broker.clone()),
            // Settings that cannot be read are refused; none are opened then.
            allowed_networks: config.allowed_networks().unwrap_or_default(),
            media_networks: config.media_networks().unwrap_or_default(),
            endpoint_store: EndpointStore::new(broker.clone()),
            dead_letter_store: DeadLetterStore::new(broker.clone()),
            replay_store: ReplayStore::new(broker.clone()),
            dispatchers: DispatcherClient::new(broker.clone()),
            uploads: UploadStore::new(broker.clone(), config.media_upload_max.clone()),
            converter: FileConverter::default(),
            wrong_keys: WrongKeys::new(config.limits.wrong_keys_per_minute),
            last_pings: LastPings::default(),
            byte_budget: ByteBudget::new(config.limits.max_bytes_in_flight.bytes),
            metrics: ApiMetrics::new(clock::now()),
            requests: RequestMetrics::register(metrics),
            index: EventIndex::new(&config.index, broker.clone()),
            keys: KeyTable::new(broker.clone()),
            key_rates: KeyRates::default(),
            login_cookies: LoginCookies::new(broker.clone()),
            stream_slots: StreamSlots::default(),
            broker,
            health,
            sends: TaskTracker::new(),
        }))
    }

    /// Goes on with a task behind the answer; a shutdown waits for it.
    pub fn spawn_tracked<F>(&self, task: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let task = task.in_current_span();
        self.sends.spawn(async move {
            task.await;
        });
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
        self.sends.spawn(send.in_current_span()).await
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

impl std::ops::Deref for AppState {
    type Target = SharedState;

    fn deref(&self) -> &SharedState {
        &self.0
    }
}
