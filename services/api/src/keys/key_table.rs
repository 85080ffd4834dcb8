//! All keys, as the bucket has them now: each replica follows it, so a key that is deleted is refused everywhere at once.

use super::key_record::{KEYS_BUCKET, KeyRecord, hash_key};
use crate::{
    bucket_error::{bucket_read_error, bucket_write_error},
    error_code::ErrorCode,
    response::ApiError,
};
use async_nats::jetstream::kv::Operation;
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, bucket::Bucket, shutdown::CancellationToken};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};
use time::OffsetDateTime;

/// Each request looks its key up; a list of them is read by people.
pub const MOST: usize = 1_000;
/// After an error, and while the broker is away.
const PAUSE: Duration = Duration::from_millis(500);

pub struct KeyTable {
    broker: Broker,
    bucket: Bucket,
    /// By the hash of the key.
    keys: RwLock<HashMap<String, KeyRecord>>,
}

impl KeyTable {
    pub fn new(broker: Broker) -> Self {
        Self { bucket: Bucket::new(broker.clone(), KEYS_BUCKET), broker, keys: RwLock::default() }
    }

    /// The record of a key that is known and valid.
    pub fn find(&self, key: &[u8], now: OffsetDateTime) -> Option<KeyRecord> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&hash_key(key)).filter(|record| record.is_valid(now)).cloned()
    }

    /// The record of an id, if it is valid.
    pub fn find_id(&self, id: &str, now: OffsetDateTime) -> Option<KeyRecord> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().find(|record| record.id == id && record.is_valid(now)).cloned()
    }

    /// Follows the bucket until the shutdown.
    pub async fn follow(&self, shutdown: CancellationToken) -> anyhow::Result<()> {
        loop {
            let round = async {
                self.broker.wait_until_ready().await;
                self.follow_once().await
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                ended = round => {
                    if let Err(error) = ended && self.broker.is_connected() {
                        tracing::warn!("failed to follow the keys, which is tried again: {error:#}");
                    }
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn follow_once(&self) -> anyhow::Result<()> {
        let store = self.bucket.open().await?;
        // The watch begins before the list is read, so no change falls in between.
        let mut changes = store.watch_all().await?;
        let stored = self.bucket.entries().await?;
        let mut keys = HashMap::new();
        for (id, value) in &stored {
            insert(&mut keys, id, value);
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        while let Some(change) = changes.next().await {
            let change = change?;
            let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            keys.retain(|_, record| record.id != change.key);
            if change.operation == Operation::Put {
                insert(&mut keys, &change.key, &change.value);
            }
        }
        anyhow::bail!("the watch ended")
    }

    /// All of them, the oldest first.
    pub async fn all(&self) -> Result<Vec<KeyRecord>, ApiError> {
        let stored = self.bucket.entries().await.map_err(bucket_read_error)?;
        let mut all: Vec<KeyRecord> = stored.values().filter_map(|value| serde_json::from_slice(value).ok()).collect();
        all.sort_by(|one, other| (&one.created_at, &one.id).cmp(&(&other.created_at, &other.id)));
        Ok(all)
    }

    pub async fn create(&self, record: &KeyRecord) -> Result<(), ApiError> {
        if self.bucket.entries().await.map_err(bucket_read_error)?.len() >= MOST {
            let message = format!("There are {MOST} keys already, more are not possible: delete one first");
            return Err(ApiError::new(ErrorCode::TooManyKeys, message));
        }
        let value = serde_json::to_vec(record).map_err(|_| ApiError::internal())?;
        self.bucket.create(&record.id, value.into()).await.map_err(bucket_write_error)?;
        // This replica knows it at once; the watch tells the others.
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(record.hash.clone(), record.clone());
        Ok(())
    }

    pub async fn delete(&self, id: &str) -> Result<(), ApiError> {
        self.bucket
            .get(id)
            .await
            .map_err(bucket_read_error)?
            .ok_or_else(|| ApiError::new(ErrorCode::KeyNotFound, "Key not found"))?;
        self.bucket.purge(id).await.map_err(bucket_write_error)?;
        self.keys.write().unwrap_or_else(PoisonError::into_inner).retain(|_, record| record.id != id);
        Ok(())
    }
}

fn insert(keys: &mut HashMap<String, KeyRecord>, id: &str, value: &[u8]) {
    match serde_json::from_slice::<KeyRecord>(value) {
        Ok(record) => {
            keys.insert(record.hash.clone(), record);
        }
        Err(error) => tracing::warn!("the key {id} cannot be read: {error}"),
    }
}
