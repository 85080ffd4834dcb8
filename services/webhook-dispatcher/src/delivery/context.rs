//! What the deliveries to all endpoints share.

use crate::{
    delivery::{attempt_log::AttemptLog, dead_letters::DeadLetterStore, media::MediaEmbedder, transport::Transport},
    jetstream::retry_queue::RetryQueue,
    metrics::DeliveryMetrics,
};
use kurir_chassis::broker::Broker;
use kurir_contract::address_guard::NetworkList;

/// What the deliveries to all endpoints share.
pub struct DeliveryContext {
    pub broker: Broker,
    pub schedule: RetryQueue,
    pub dead_letters: DeadLetterStore,
    pub attempts: AttemptLog,
    pub transport: Transport,
    /// Into these, endpoints of the API may lead although they are nobody's business.
    pub allowed: NetworkList,
    /// What is counted, of each endpoint.
    pub metrics: DeliveryMetrics,
    /// Where others reach the API: links to media begin with it.
    pub public_url: Option<String>,
    /// The files of received messages.
    pub files: MediaEmbedder,
    /// A collector takes our spans. Without one there are none: they would cost every delivery.
    pub traced: bool,
}

/// What of [`DeliveryContext`] the settings say.
pub struct DeliverySettings {
    pub allowed: NetworkList,
    pub metrics: DeliveryMetrics,
    pub public_url: Option<String>,
    pub files: MediaEmbedder,
    pub traced: bool,
}

impl DeliveryContext {
    /// # Errors
    /// If the client is at its end.
    pub async fn new(
        broker: Broker,
        attempts: AttemptLog,
        transport: Transport,
        settings: DeliverySettings,
    ) -> anyhow::Result<Self> {
        let DeliverySettings { allowed, metrics, public_url, files, traced } = settings;
        Ok(Self {
            schedule: RetryQueue::open(broker.clone()).await?,
            dead_letters: DeadLetterStore::new(broker.clone()),
            broker,
            attempts,
            transport,
            allowed,
            metrics,
            public_url,
            files,
            traced,
        })
    }
}
