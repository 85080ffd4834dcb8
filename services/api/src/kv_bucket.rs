//! A KV bucket of NATS: read by key or whole, and written only over what was read.
//!
//! Each call ends within [`WITHIN`]. Nothing is handed over while the broker is away.

use crate::response::ApiError;
use async_nats::jetstream::{
    kv::{Operation, Store, UpdateErrorKind},
    stream::RawMessageErrorKind,
};
use bytes::Bytes;
use futures::StreamExt as _;
use kurir_chassis::broker::Broker;
use std::{collections::BTreeMap, future::Future, time::Duration};

/// The API promises its 503 within 5 s. A whole bucket of 10,000 endpoints is read in a fraction of that.
const WITHIN: Duration = Duration::from_secs(4);

/// The header of a marker (NATS ADR-8: `DEL`, `PURGE`); a value has none, or `PUT`.
const OPERATION: &str = "KV-Operation";

pub struct KvBucket {
    broker: Broker,
    name: &'static str,
    max_age: Duration,
}

/// What a key holds.
pub struct KvEntry {
    pub value: Bytes,
    pub revision: u64,
}

/// Why nothing was written.
pub enum KvWriteError {
    /// Somebody else was faster.
    Overtaken,
    Failed(ApiError),
}

impl From<ApiError> for KvWriteError {
    fn from(failure: ApiError) -> Self {
        Self::Failed(failure)
    }
}

impl KvBucket {
    pub fn new(broker: Broker, name: &'static str) -> Self {
        Self::expiring(broker, name, Duration::ZERO)
    }

    /// One whose values vanish when they are `max_age` old.
    pub fn expiring(broker: Broker, name: &'static str, max_age: Duration) -> Self {
        Self { broker, name, max_age }
    }

    pub async fn get(&self, key: &str) -> Result<Option<KvEntry>, ApiError> {
        self.read(async {
            let store = self.store().await?;
            // Of the leader: another replica may not know yet what was written a moment ago.
            let last = store.stream.raw_message_builder().last_by_subject(format!("{}{key}", store.prefix));
            match last.send().await {
                // A marker says that the key was deleted.
                Ok(message) if message.headers.get(OPERATION).is_some_and(|done| done.as_str() != "PUT") => Ok(None),
                Ok(message) => Ok(Some(KvEntry { value: message.payload, revision: message.sequence })),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Every key that is there, with its value.
    pub async fn all(&self) -> Result<BTreeMap<String, Bytes>, ApiError> {
        self.read(async {
            let store = self.store().await?;
            // One that is changed meanwhile comes twice.
            let mut all = BTreeMap::new();
            // An empty bucket would send nothing that says so.
            if store.stream.cached_info().state.messages == 0 {
                return Ok(all);
            }
            let mut entries = store.watch_many_with_history([">"]).await?;
            while let Some(entry) = entries.next().await {
                let entry = entry?;
                let is_last = entry.delta == 0;
                match entry.operation {
                    Operation::Put => all.insert(entry.key, entry.value),
                    Operation::Delete | Operation::Purge => all.remove(&entry.key),
                };
                if is_last {
                    break;
                }
            }
            Ok(all)
        })
        .await
    }

    /// No fewer keys than are there: markers of what was deleted count too.
    pub async fn at_most(&self) -> Result<u64, ApiError> {
        self.read(async { Ok(self.store().await?.stream.cached_info().state.messages) }).await
    }

    /// Writes over `revision`; 0: over nothing.
    pub async fn write(&self, key: &str, value: Bytes, revision: u64) -> Result<(), KvWriteError> {
        let store = self.read(self.store()).await?;
        match tokio::time::timeout(WITHIN, store.update(key, value, revision)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(match error.kind() {
                UpdateErrorKind::WrongLastRevision => KvWriteError::Overtaken,
                UpdateErrorKind::TimedOut => ApiError::broker_lost().into(),
                UpdateErrorKind::InvalidKey | UpdateErrorKind::Other => self.not_stored(&error).into(),
            }),
            Err(_) => Err(ApiError::broker_lost().into()),
        }
    }

    /// Leaves a marker, which whoever watches the bucket sees.
    pub async fn delete(&self, key: &str) -> Result<(), ApiError> {
        let store = self.read(self.store()).await?;
        match tokio::time::timeout(WITHIN, store.delete(key)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(match error.kind() {
                UpdateErrorKind::TimedOut => ApiError::broker_lost(),
                UpdateErrorKind::InvalidKey | UpdateErrorKind::WrongLastRevision | UpdateErrorKind::Other => {
                    self.not_stored(&error)
                }
            }),
            Err(_) => Err(ApiError::broker_lost()),
        }
    }

    async fn store(&self) -> anyhow::Result<Store> {
        self.broker.expiring_bucket(self.name, self.max_age).await
    }

    async fn read<T>(&self, reading: impl Future<Output = anyhow::Result<T>>) -> Result<T, ApiError> {
        match tokio::time::timeout(WITHIN, reading).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => {
                tracing::warn!("failed to read the bucket {}: {error:#}", self.name);
                Err(ApiError::broker_unavailable())
            }
            Err(_) => {
                tracing::warn!("failed to read the bucket {}: it took longer than 4 s", self.name);
                Err(ApiError::broker_unavailable())
            }
        }
    }

    fn not_stored(&self, error: &impl std::fmt::Display) -> ApiError {
        tracing::error!("failed to write to the bucket {}: {error}", self.name);
        ApiError::not_stored()
    }
}
