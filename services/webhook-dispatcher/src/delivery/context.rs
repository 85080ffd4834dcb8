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
    pub retries: RetryQueue,
    pub dead_letters: DeadLetterStore,
    pub attempts: AttemptLog,
    pub transport: Transport,
    /// Networks that the endpoints of the API may lead into although they are private.
    pub allowed: NetworkList,
    /// The metrics of all endpoints.
    pub metrics: DeliveryMetrics,
    /// Where others reach the API: links to media start with it.
    pub public_url: Option<String>,
    /// Reads the files of received messages.
    pub media: MediaEmbedder,
    /// Whether a collector takes traces. Without one there are no spans: they would cost every delivery.
    pub traced: bool,
}

/// The part of a [`DeliveryContext`] that comes from the settings.
pub struct DeliverySettings {
    pub dead_letters: DeadLetterStore,
    pub allowed: NetworkList,
    pub metrics: DeliveryMetrics,
    pub public_url: Option<String>,
    pub media: MediaEmbedder,
    pub traced: bool,
}

impl DeliveryContext {
    /// # Errors
    /// If the client has ended.
    pub async fn new(
        broker: Broker,
        attempts: AttemptLog,
        transport: Transport,
        settings: DeliverySettings,
    ) -> anyhow::Result<Self> {
        let DeliverySettings { dead_letters, allowed, metrics, public_url, media, traced } = settings;
        Ok(Self {
            retries: RetryQueue::open(broker.clone()).await?,
            dead_letters,
            broker,
            attempts,
            transport,
            allowed,
            metrics,
            public_url,
            media,
            traced,
        })
    }
}
