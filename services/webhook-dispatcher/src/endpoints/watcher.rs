//! Watches the bucket of endpoints and passes every creation, change and deletion to the worker, within milliseconds
//! and without a restart.
//!
//! A connection that breaks may swallow a change, so the whole bucket is read again after it; an endpoint that is the
//! same as before changes nothing. What a deleted endpoint leaves in NATS is removed, even if no dispatcher ran when it
//! was deleted, and again when its last delivery has ended, which may have stored a retry.

use crate::{
    config::Config,
    endpoint::Endpoint,
    endpoints::{default_start::read_default, failing_endpoints::FailingEndpoints},
    jetstream::consumer::{self, PullSource},
};
use anyhow::Context as _;
use async_nats::jetstream::kv::{Entry, Operation};
use bytes::Bytes;
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, bucket::Bucket, shutdown::CancellationToken};
use kurir_contract::endpoint::{BUCKET, CircuitState, EndpointId, EndpointSettings, EndpointState, STATES_BUCKET};
use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// How soon a new connection is noticed.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Between two tries to watch the bucket.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// When the deliveries of a deleted endpoint have ended: most within seconds, all within the longest timeout (60 s) and
/// the time to settle them.
const CLEANUP_DELAYS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(75)];

/// What the worker is told.
#[derive(Clone, Debug)]
pub enum EndpointChange {
    /// An endpoint that was created or changed, or is the same as before.
    Set(Arc<Endpoint>),
    Removed(EndpointId),
    /// Another dispatcher's circuit opened, or its endpoint does not fail any more.
    Circuit {
        endpoint: EndpointId,
        open: bool,
    },
    /// The endpoint's receiver has no room for this long.
    Paused {
        endpoint: EndpointId,
        pause: Duration,
    },
    /// RETRIES holds something for this endpoint.
    HasRetries(EndpointId),
    /// All endpoints that existed when the watch started were passed on.
    AllListed,
}

/// What the bucket says about endpoints.
#[derive(Default)]
struct BucketContent {
    stored: HashSet<EndpointId>,
    deleted: HashSet<EndpointId>,
}

pub struct EndpointWatcher {
    config: Config,
    broker: Broker,
    endpoints: Bucket,
    changes: mpsc::Sender<EndpointChange>,
    failing: FailingEndpoints,
    /// When this dispatcher was started.
    started: Instant,
    /// Endpoints that were passed on and not removed.
    known: HashSet<EndpointId>,
    /// Removed endpoints, and when to clean up after them again.
    cleanups: Vec<(Instant, EndpointId)>,
}

impl EndpointWatcher {
    #[must_use]
    pub fn new(
        config: Config,
        broker: Broker,
        changes: mpsc::Sender<EndpointChange>,
        failing: FailingEndpoints,
    ) -> Self {
        let started = Instant::now();
        let endpoints = Bucket::new(broker.clone(), BUCKET);
        Self { config, broker, endpoints, changes, failing, started, known: HashSet::new(), cleanups: Vec::new() }
    }

    /// Watches until the shutdown.
    ///
    /// # Errors
    /// None: a broker that is away is waited for.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let watching = async {
            self.broker.wait_until_ready().await;
            loop {
                if let Err(error) = self.watch().await {
                    tracing::info!("reading the webhook endpoints again: {error:#}");
                }
                tokio::time::sleep(RETRY_PAUSE).await;
                self.broker.wait_until_ready().await;
            }
        };
        tokio::select! {
            () = watching => {}
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }

    /// Reads the whole bucket and then its changes, until something fails.
    async fn watch(&mut self) -> anyhow::Result<()> {
        let connections = self.connection_count();
        // Listed before the bucket is read: a consumer in this list without an endpoint has lost its endpoint.
        let mut consumer_owners: HashSet<EndpointId> = HashSet::new();
        for source in [PullSource::Events, PullSource::Retries] {
            consumer_owners.extend(consumer::list_endpoints(&self.broker, source).await?);
        }
        consumer_owners.retain(|endpoint| !endpoint.is_default());

        let bucket = &self.endpoints;
        if !self.config.endpoints().is_empty() {
            let started = self.broker.clock.now() - self.started.elapsed();
            let stored = read_default(&self.broker, bucket, self.config.webhook_start, started).await?;
            self.set_default(&stored).await;
        }
        let bucket = bucket.open().await?;
        let stored = bucket.status().await.context("failed to read the state of the bucket of endpoints")?.values();
        let mut watch = bucket.watch_with_history(">").await.context("failed to watch the endpoints")?;
        let states = Bucket::new(self.broker.clone(), STATES_BUCKET).open().await?;
        let mut states = states.watch_with_history(">").await.context("failed to watch the states of endpoints")?;
        let (mut seen, mut complete) = (BucketContent::default(), stored == 0);
        if complete {
            self.finish_listing(&seen, &consumer_owners).await;
        }
        let mut checks = tokio::time::interval(CHECK_INTERVAL);
        loop {
            let entry = tokio::select! {
                entry = watch.next() => entry.context("the watch ended")?.context("the watch broke")?,
                state = states.next() => {
                    self.apply_state(state.context("the watch of states ended")?.context("the watch of states broke")?).await;
                    continue;
                }
                _ = checks.tick() => {
                    anyhow::ensure!(self.connection_count() == connections, "connected to NATS again");
                    self.repeat_cleanups().await;
                    continue;
                }
            };
            let is_current = entry.seen_current;
            self.apply_entry(entry, &mut seen, complete).await;
            if is_current && !complete {
                complete = true;
                self.finish_listing(&seen, &consumer_owners).await;
            }
        }
    }

    /// `complete`: the whole bucket was read, and this is a change. Earlier deletions show when the reading is
    /// complete.
    async fn apply_entry(&mut self, entry: Entry, seen: &mut BucketContent, complete: bool) {
        // A foreign key is no endpoint.
        let Ok(id) = entry.key.parse::<EndpointId>() else { return };
        if id.is_default() {
            // If its entry is deleted, the endpoint goes on as it is.
            if entry.operation == Operation::Put
                && let Ok(value) = self
                    .endpoints
                    .open_value(&entry.key, entry.value)
                    .inspect_err(|error| tracing::warn!("WEBHOOK_URL stays as it was: {error}"))
                && let Ok(stored) = serde_json::from_slice::<EndpointSettings>(&value)
            {
                self.set_default(&stored).await;
            }
            return;
        }
        match entry.operation {
            Operation::Put => match self.parse_endpoint(&id, entry.value) {
                Ok(endpoint) => {
                    seen.stored.insert(id.clone());
                    self.known.insert(id);
                    self.send(EndpointChange::Set(Arc::new(endpoint))).await;
                }
                // The endpoint stays as it was: a newer version of Kurir, which is being rolled out, may have written
                // it.
                Err(error) => {
                    seen.stored.insert(id.clone());
                    tracing::warn!(endpoint.id = %id, "failed to read webhook endpoint {id}, which stays as it was: {error:#}");
                }
            },
            Operation::Delete | Operation::Purge => {
                seen.stored.remove(&id);
                seen.deleted.insert(id.clone());
                if complete {
                    self.remove_endpoint(&id).await;
                }
            }
        }
    }

    /// Passes the endpoint `default` on, if there is one.
    async fn set_default(&self, stored: &EndpointSettings) {
        if let Some(endpoint) = self.config.default_endpoint(Some(stored)) {
            self.send(EndpointChange::Set(Arc::new(endpoint))).await;
        }
    }

    async fn apply_state(&self, entry: Entry) {
        let Ok(endpoint) = entry.key.parse::<EndpointId>() else { return };
        let state = match entry.operation {
            Operation::Put => match serde_json::from_slice::<EndpointState>(&entry.value) {
                Ok(state) => Some(state),
                // A newer version wrote it.
                Err(_) => return,
            },
            Operation::Delete | Operation::Purge => None,
        };
        self.failing.set(&endpoint, state.is_some());
        let pause = state.as_ref().and_then(|state| state.pause_ms).map(Duration::from_millis);
        if let Some(pause) = pause {
            let passed = Duration::try_from(self.broker.clock.now() - entry.created).unwrap_or_default();
            let pause = if entry.seen_current { pause.saturating_sub(passed) } else { pause };
            self.send(EndpointChange::Paused { endpoint: endpoint.clone(), pause }).await;
        }
        match state.map_or(CircuitState::Closed, |state| state.circuit) {
            CircuitState::Open => self.send(EndpointChange::Circuit { endpoint, open: true }).await,
            CircuitState::Closed => self.send(EndpointChange::Circuit { endpoint, open: false }).await,
            // A probe.
            CircuitState::HalfOpen => {}
        }
    }

    fn parse_endpoint(&self, id: &EndpointId, stored: Bytes) -> anyhow::Result<Endpoint> {
        let value = self.endpoints.open_value(id.as_str(), stored)?;
        let settings: EndpointSettings = serde_json::from_slice(&value)?;
        Endpoint::from_settings(id.clone(), settings, self.config.webhook_ack_wait)
    }

    /// Finishes the reading of the whole bucket. `consumer_owners`: the endpoints that had consumers before. Only what
    /// somebody has deleted is removed. An endpoint that vanished with its bucket keeps its consumers and its retries: as
    /// long as this dispatcher knows its settings it is delivered to, and its events wait otherwise.
    async fn finish_listing(&mut self, seen: &BucketContent, consumer_owners: &HashSet<EndpointId>) {
        let gone: HashSet<EndpointId> =
            self.known.union(consumer_owners).filter(|id| !seen.stored.contains(*id)).cloned().collect();
        for id in gone {
            if seen.deleted.contains(&id) {
                self.remove_endpoint(&id).await;
            } else {
                tracing::warn!(
                    endpoint.id = %id,
                    "the bucket of endpoints does not hold webhook endpoint {id}, which nobody has deleted: its events wait \
                     in EVENTS and its retries in RETRIES; restore the bucket, or delete both by hand"
                );
            }
        }
        self.send(EndpointChange::AllListed).await;
    }

    async fn remove_endpoint(&mut self, id: &EndpointId) {
        self.known.remove(id);
        self.cleanups.extend(CLEANUP_DELAYS.map(|after| (Instant::now() + after, id.clone())));
        self.send(EndpointChange::Removed(id.clone())).await;
        self.clean_up(id).await;
    }

    async fn repeat_cleanups(&mut self) {
        let now = Instant::now();
        let due: Vec<EndpointId> =
            self.cleanups.extract_if(.., |(at, _)| *at <= now).map(|(_, endpoint)| endpoint).collect();
        for id in due.iter().filter(|id| !self.known.contains(*id)) {
            self.clean_up(id).await;
        }
    }

    async fn clean_up(&self, id: &EndpointId) {
        // Another dispatcher may have done it. If none can do it now, the next start does it.
        if let Err(error) = consumer::remove_consumers(&self.broker, id).await {
            tracing::warn!(endpoint.id = %id, "failed to remove what the deleted webhook endpoint {id} left: {error:#}");
        }
    }

    async fn send(&self, change: EndpointChange) {
        // The worker is gone only at the shutdown.
        let _ = self.changes.send(change).await;
    }

    fn connection_count(&self) -> u64 {
        self.broker.client.statistics().connects.load(Ordering::Relaxed)
    }
}
