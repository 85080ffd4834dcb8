//! How many dispatchers there are, for the limits that they have among them. Each counts the others by their pongs.

use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::{service::ServiceName, subject};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How often they are counted: so long a limit may be wrong after one joined or left.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How long one may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// At least one: ourselves.
#[derive(Clone)]
pub struct PeerCount(Arc<AtomicUsize>);

impl Default for PeerCount {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(1)))
    }
}

impl PeerCount {
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts until the shutdown.
    ///
    /// # Errors
    /// None: while NATS is away the last figure stands.
    pub async fn run(self, broker: Broker, shutdown: CancellationToken) -> anyhow::Result<()> {
        while tokio::time::timeout(COUNT_EVERY, shutdown.cancelled()).await.is_err() {
            if let Some(count) = count(&broker).await {
                self.0.store(count.max(1), Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

async fn count(broker: &Broker) -> Option<usize> {
    let inbox = broker.client.new_inbox();
    let mut answers = broker.client.subscribe(inbox.clone()).await.ok()?;
    let ping = subject::service_ping(ServiceName::WebhookDispatcher);
    broker.client.publish_with_reply(ping, inbox, "".into()).await.ok()?;
    let mut count = 0;
    let counted = async {
        while let Some(answer) = answers.next().await {
            // Nobody answers if NATS says so: the answer is a status then.
            count += usize::from(answer.status.is_none());
        }
    };
    let _ = tokio::time::timeout(ANSWER_WITHIN, counted).await;
    (count > 0).then_some(count)
}
