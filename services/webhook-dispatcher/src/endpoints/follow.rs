//! Follows the bucket of endpoints: every endpoint that is made, changed or deleted is told to the worker, within
//! milliseconds and with no restart.
//!
//! A connection that breaks may swallow a change, so after it the whole bucket is read again; what is the same as
//! before changes nothing. What a deleted endpoint leaves in the broker is removed, also if no dispatcher ran when it
//! was deleted.

use super::{
    Endpoint,
    consumer::{self, Source},
};
use crate::config::Config;
use anyhow::Context as _;
use async_nats::jetstream::kv::{Entry, Operation};
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::endpoint::{BUCKET, EndpointId, Settings};
use std::{collections::HashSet, sync::Arc, sync::atomic::Ordering, time::Duration};
use tokio::sync::mpsc;

/// How soon a connection that was made anew is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two tries to follow a bucket that cannot be followed.
const PAUSE: Duration = Duration::from_secs(1);

/// What a worker hears.
#[derive(Clone, Debug)]
pub enum Change {
    /// Made, changed, or told of again.
    Set(Arc<Endpoint>),
    Removed(EndpointId),
    /// RETRIES holds something of it.
    Retries(EndpointId),
    /// All that were there when the following began have been told of.
    Complete,
}

pub struct Follower {
    config: Config,
    broker: Broker,
    changes: mpsc::Sender<Change>,
    /// Told of and not removed.
    known: HashSet<EndpointId>,
}

impl Follower {
    #[must_use]
    pub fn new(config: Config, broker: Broker, changes: mpsc::Sender<Change>) -> Self {
        Self { config, broker, changes, known: HashSet::new() }
    }

    /// Follows until the shutdown.
    ///
    /// # Errors
    /// None: a broker that is away is waited for.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        for endpoint in self.config.endpoints() {
            self.tell(Change::Set(Arc::new(endpoint))).await;
        }
        let following = async {
            self.broker.ready().await;
            loop {
                if let Err(error) = self.follow().await {
                    tracing::info!("reading the webhook endpoints again: {error:#}");
                }
                tokio::time::sleep(PAUSE).await;
                self.broker.ready().await;
            }
        };
        tokio::select! {
            () = following => {}
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }

    /// Reads the whole bucket and goes on with what changes, until something is wrong.
    async fn follow(&mut self) -> anyhow::Result<()> {
        let connects = self.connects();
        // Before the bucket is read: a consumer that is in this list and has no endpoint then has lost it.
        let mut left: HashSet<EndpointId> = HashSet::new();
        for source in [Source::Events, Source::Retries] {
            left.extend(consumer::endpoints(&self.broker, source).await?);
        }
        left.retain(|endpoint| !endpoint.is_default());

        let bucket = self.broker.bucket(BUCKET).await?;
        let stored = bucket.status().await.context("failed to look at the bucket of endpoints")?.values();
        let mut watch = bucket.watch_with_history(">").await.context("failed to watch the endpoints")?;
        let (mut seen, mut complete) = (HashSet::new(), stored == 0);
        if complete {
            self.complete(&seen, &left).await;
        }
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            let entry = tokio::select! {
                entry = watch.next() => entry.context("the watch ended")?.context("the watch broke")?,
                _ = look.tick() => {
                    anyhow::ensure!(self.connects() == connects, "the connection to NATS was made anew");
                    continue;
                }
            };
            let is_current = entry.seen_current;
            self.entry(entry, &mut seen).await;
            if is_current && !complete {
                complete = true;
                self.complete(&seen, &left).await;
            }
        }
    }

    async fn entry(&mut self, entry: Entry, seen: &mut HashSet<EndpointId>) {
        // Whoever puts another key there puts no endpoint there.
        let Ok(id) = entry.key.parse::<EndpointId>() else { return };
        if id.is_default() {
            return;
        }
        match entry.operation {
            Operation::Put => match self.read(&id, &entry.value) {
                Ok(endpoint) => {
                    seen.insert(id.clone());
                    self.known.insert(id);
                    self.tell(Change::Set(Arc::new(endpoint))).await;
                }
                // Kept as it was: it may have been written by a newer version that is being rolled out.
                Err(error) => {
                    seen.insert(id.clone());
                    tracing::warn!(endpoint.id = %id, "webhook endpoint {id} cannot be read and is left as it was: {error:#}");
                }
            },
            Operation::Delete | Operation::Purge => {
                seen.remove(&id);
                self.remove(&id).await;
            }
        }
    }

    fn read(&self, id: &EndpointId, value: &[u8]) -> anyhow::Result<Endpoint> {
        let settings: Settings = serde_json::from_slice(value)?;
        Endpoint::of_bucket(id.clone(), settings, &self.config)
    }

    /// The whole bucket was read: `left` are those that had consumers before.
    async fn complete(&mut self, seen: &HashSet<EndpointId>, left: &HashSet<EndpointId>) {
        let gone: HashSet<EndpointId> = self.known.union(left).filter(|id| !seen.contains(*id)).cloned().collect();
        for id in gone {
            self.remove(&id).await;
        }
        self.tell(Change::Complete).await;
    }

    async fn remove(&mut self, id: &EndpointId) {
        self.known.remove(id);
        self.tell(Change::Removed(id.clone())).await;
        // Another dispatcher may have done it; if none can now, the next start does.
        if let Err(error) = consumer::remove(&self.broker, id).await {
            tracing::warn!(endpoint.id = %id, "failed to remove what the deleted webhook endpoint {id} left: {error:#}");
        }
    }

    async fn tell(&self, change: Change) {
        // The worker is gone only at the end.
        let _ = self.changes.send(change).await;
    }

    fn connects(&self) -> u64 {
        self.broker.client.statistics().connects.load(Ordering::Relaxed)
    }
}
