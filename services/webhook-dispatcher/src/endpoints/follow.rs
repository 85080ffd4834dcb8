//! Follows the bucket of endpoints: every endpoint that is made, changed or deleted is told to the worker, within
//! milliseconds and with no restart.
//!
//! A connection that breaks may swallow a change, so after it the whole bucket is read again; what is the same as
//! before changes nothing. What a deleted endpoint leaves in the broker is removed, also if no dispatcher ran when it
//! was deleted, and once more when its last delivery must have ended: that may have kept a retry.

use super::{
    Endpoint,
    consumer::{self, Source},
};
use crate::config::Config;
use anyhow::Context as _;
use async_nats::jetstream::kv::{Entry, Operation};
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::endpoint::{BUCKET, CircuitState, EndpointId, EndpointSettings, EndpointState, STATES_BUCKET};
use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// How soon a connection that was made anew is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two tries to follow a bucket that cannot be followed.
const PAUSE: Duration = Duration::from_secs(1);
/// When a deleted endpoint's deliveries have ended: most within seconds, all within the longest timeout (60 s) and the
/// time to settle them.
const SWEEPS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(75)];

/// What a worker hears.
#[derive(Clone, Debug)]
pub enum Change {
    /// Made, changed, or told of again.
    Set(Arc<Endpoint>),
    Removed(EndpointId),
    /// Some dispatcher's circuit opened, or nothing is wrong any more.
    Circuit {
        endpoint: EndpointId,
        open: bool,
    },
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
    /// Removed, and when to do so once more.
    swept: Vec<(Instant, EndpointId)>,
}

impl Follower {
    #[must_use]
    pub fn new(config: Config, broker: Broker, changes: mpsc::Sender<Change>) -> Self {
        Self { config, broker, changes, known: HashSet::new(), swept: Vec::new() }
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
            self.broker.wait_until_ready().await;
            loop {
                if let Err(error) = self.follow().await {
                    tracing::info!("reading the webhook endpoints again: {error:#}");
                }
                tokio::time::sleep(PAUSE).await;
                self.broker.wait_until_ready().await;
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
        let states = self.broker.bucket(STATES_BUCKET).await?;
        let mut states = states.watch_with_history(">").await.context("failed to watch the states of endpoints")?;
        let (mut seen, mut complete) = (HashSet::new(), stored == 0);
        if complete {
            self.complete(&seen, &left).await;
        }
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            let entry = tokio::select! {
                entry = watch.next() => entry.context("the watch ended")?.context("the watch broke")?,
                state = states.next() => {
                    self.state(state.context("the watch of states ended")?.context("the watch of states broke")?).await;
                    continue;
                }
                _ = look.tick() => {
                    anyhow::ensure!(self.connects() == connects, "the connection to NATS was made anew");
                    self.sweep().await;
                    continue;
                }
            };
            let is_current = entry.seen_current;
            self.entry(entry, &mut seen, complete).await;
            if is_current && !complete {
                complete = true;
                self.complete(&seen, &left).await;
            }
        }
    }

    /// `complete`: it changes now. What was deleted before is found missing when the whole bucket was read.
    async fn entry(&mut self, entry: Entry, seen: &mut HashSet<EndpointId>, complete: bool) {
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
                if complete {
                    self.remove(&id).await;
                }
            }
        }
    }

    async fn state(&self, entry: Entry) {
        let Ok(endpoint) = entry.key.parse::<EndpointId>() else { return };
        let circuit = match entry.operation {
            Operation::Put => serde_json::from_slice::<EndpointState>(&entry.value).map(|state| state.circuit).ok(),
            Operation::Delete | Operation::Purge => Some(CircuitState::Closed),
        };
        match circuit {
            Some(CircuitState::Open) => self.tell(Change::Circuit { endpoint, open: true }).await,
            Some(CircuitState::Closed) => self.tell(Change::Circuit { endpoint, open: false }).await,
            // Only a probe, or what a newer version wrote.
            Some(CircuitState::HalfOpen) | None => {}
        }
    }

    fn read(&self, id: &EndpointId, value: &[u8]) -> anyhow::Result<Endpoint> {
        let settings: EndpointSettings = serde_json::from_slice(value)?;
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
        self.swept.extend(SWEEPS.map(|after| (Instant::now() + after, id.clone())));
        self.tell(Change::Removed(id.clone())).await;
        self.clear(id).await;
    }

    async fn sweep(&mut self) {
        let now = Instant::now();
        let due: Vec<EndpointId> =
            self.swept.extract_if(.., |(at, _)| *at <= now).map(|(_, endpoint)| endpoint).collect();
        for id in due.iter().filter(|id| !self.known.contains(*id)) {
            self.clear(id).await;
        }
    }

    async fn clear(&self, id: &EndpointId) {
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
