//! Counts the dispatchers, for limits that they share. Each counts the others by their answers to a ping.

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

/// The interval between two counts. For this long a limit may be wrong after a dispatcher came or left.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// The number of dispatchers: at least one, this one.
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
    /// None: while NATS is away, the last count stands.
    pub async fn run(self, broker: Broker, shutdown: CancellationToken) -> anyhow::Result<()> {
        while tokio::time::timeout(COUNT_INTERVAL, shutdown.cancelled()).await.is_err() {
            if let Some(count) = count_dispatchers(&broker).await {
                self.0.store(count.max(1), Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

async fn count_dispatchers(broker: &Broker) -> Option<usize> {
    let inbox = broker.client.new_inbox();
    let mut answers = broker.client.subscribe(inbox.clone()).await.ok()?;
    let ping = subject::service_ping(ServiceName::WebhookDispatcher);
    broker.client.publish_with_reply(ping, inbox, "".into()).await.ok()?;
    let mut count = 0;
    let counted = async {
        while let Some(answer) = answers.next().await {
            // A status means that nobody listens.
            count += usize::from(answer.status.is_none());
        }
    };
    let _ = tokio::time::timeout(ANSWER_TIMEOUT, counted).await;
    (count > 0).then_some(count)
}
