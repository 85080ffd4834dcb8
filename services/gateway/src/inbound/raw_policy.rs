//! Whether events carry the whole message of WhatsApp in `raw`: for all, by a setting, or because an endpoint asks for it.

use anyhow::Context as _;
use async_nats::jetstream::kv::Operation;
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, bucket::Bucket, shutdown::CancellationToken};
use kurir_contract::endpoint::RAW_REQUESTS_BUCKET;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// Clones share what the endpoints ask for.
#[derive(Clone, Debug, Default)]
pub struct RawPolicy {
    all: bool,
    requested: Arc<AtomicBool>,
}

/// A watch that stands still for so long, because its bucket was deleted for example, begins again.
const WATCHED_FOR: Duration = Duration::from_secs(300);
/// The pause after an error.
const PAUSE: Duration = Duration::from_secs(1);

impl RawPolicy {
    /// The policy with `INCLUDE_RAW`.
    #[must_use]
    pub fn with_all(self, all: bool) -> Self {
        Self { all, ..self }
    }

    #[must_use]
    pub fn is_included(&self) -> bool {
        self.all || self.requested.load(Ordering::Relaxed)
    }

    /// Whether dispatchers have to leave it out for endpoints that do not ask for it.
    #[must_use]
    pub fn is_on_request(&self) -> bool {
        !self.all
    }

    /// Follows what the endpoints ask for, until the shutdown.
    ///
    /// # Errors
    /// Never; the shape is that of a service's task.
    pub async fn follow_endpoints(self, broker: Broker, shutdown: CancellationToken) -> anyhow::Result<()> {
        let bucket = Bucket::new(broker.clone(), RAW_REQUESTS_BUCKET);
        let follow = async {
            loop {
                broker.wait_until_ready().await;
                if let Ok(Err(error)) = timeout(WATCHED_FOR, self.follow_once(&bucket)).await {
                    tracing::debug!("failed to read which endpoints want raw: {error:#}");
                }
                sleep(PAUSE).await;
            }
        };
        shutdown.run_until_cancelled(follow).await;
        Ok(())
    }

    async fn follow_once(&self, bucket: &Bucket) -> anyhow::Result<()> {
        let store = bucket.open().await?;
        let is_empty = store.stream.cached_info().state.messages == 0;
        let mut wanting = HashSet::new();
        if is_empty {
            self.requested.store(false, Ordering::Relaxed);
        }
        let mut changes = store.watch_many_with_history([">"]).await.context("failed to watch the endpoints")?;
        let mut is_complete = is_empty;
        while let Some(change) = changes.next().await {
            let change = change?;
            if change.operation == Operation::Put {
                wanting.insert(change.key);
            } else {
                wanting.remove(&change.key);
            }
            is_complete |= change.delta == 0;
            if is_complete {
                self.requested.store(!wanting.is_empty(), Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
