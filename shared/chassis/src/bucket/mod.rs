//! A KV bucket: read by key or whole, and written over nothing, over a known revision, or over whatever is there.
//!
//! Each call ends within 4 s, and nothing is handed to the client while the broker is away. A bucket that is missing is
//! made. Reads come from the stream's leader, so a value that was written a moment ago is seen. The values of a bucket of
//! secrets are sealed on their way into NATS (`secrets_key`).

mod error;
mod secrets;
pub mod secrets_key;
mod whole;

pub use error::BucketError;
pub use secrets::{BUCKETS_OF_SECRETS, LOGINS_BUCKET, SealedCounts};

use crate::broker::Broker;
use async_nats::{
    HeaderMap,
    jetstream::{
        kv::{CreateErrorKind, Store, UpdateErrorKind},
        stream::RawMessageErrorKind,
    },
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, future::Future, time::Duration};
use tokio::time::{Instant, timeout_at};
use whole::read_whole;

/// The API promises its 503 within 5 s. A whole bucket of 10,000 endpoints is read in a fraction of this time.
const CALL_WITHIN: Duration = Duration::from_secs(4);
/// How often [`Bucket::change_value`] reads and writes again after another client was faster.
const CHANGE_TRIES: u32 = 10;
/// The header of a deletion marker (NATS ADR-8: `DEL`, `PURGE`); a value has none, or `PUT`.
const OPERATION: &str = "KV-Operation";

/// One bucket. Cheap to clone.
#[derive(Clone)]
pub struct Bucket {
    broker: Broker,
    name: &'static str,
    max_age: Duration,
    holds_secrets: bool,
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketEntry {
    pub value: Bytes,
    /// Given to [`Bucket::update`], it lets the write fail if the key was changed since.
    pub revision: u64,
}

impl BucketEntry {
    /// # Errors
    /// If the value is no JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.value)
    }
}

impl Bucket {
    /// A bucket whose values stay until they are deleted.
    #[must_use]
    pub fn new(broker: Broker, name: &'static str) -> Self {
        Self::expiring(broker, name, Duration::ZERO)
    }

    /// A bucket whose values vanish when they are `max_age` old; zero: never.
    #[must_use]
    pub fn expiring(broker: Broker, name: &'static str, max_age: Duration) -> Self {
        Self { broker, name, max_age, holds_secrets: BUCKETS_OF_SECRETS.contains(&name) }
    }

    /// The value of a key; none if there is no such key, or no key can be called so.
    ///
    /// # Errors
    /// `Unavailable`, `TimedOut` or `Sealed`.
    pub async fn get(&self, key: &str) -> Result<Option<BucketEntry>, BucketError> {
        match self.get_stored(key).await? {
            Some(entry) => Ok(Some(BucketEntry { value: self.open_value(key, entry.value)?, ..entry })),
            None => Ok(None),
        }
    }

    /// The value of a key as it is stored.
    async fn get_stored(&self, key: &str) -> Result<Option<BucketEntry>, BucketError> {
        Ok(self.last_write(key).await?.filter(|(_, is_deletion)| !is_deletion).map(|(entry, _)| entry))
    }

    /// What was written to a key last, and whether it is a deletion marker.
    async fn last_write(&self, key: &str) -> Result<Option<(BucketEntry, bool)>, BucketError> {
        if !is_valid_key(key) {
            return Ok(None);
        }
        self.read(async |store| {
            let last = store.stream.raw_message_builder().last_by_subject(format!("{}{key}", store.prefix));
            match last.send().await {
                Ok(message) => {
                    let is_deletion = is_deletion(&message.headers);
                    Ok(Some((BucketEntry { value: message.payload, revision: message.sequence }, is_deletion)))
                }
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// The value of a key, read as JSON, with its revision.
    ///
    /// # Errors
    /// `Unavailable`, `TimedOut`, `Sealed` or `Unreadable`.
    pub async fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<(T, u64)>, BucketError> {
        let Some(entry) = self.get(key).await? else { return Ok(None) };
        match entry.json() {
            Ok(value) => Ok(Some((value, entry.revision))),
            Err(source) => Err(BucketError::Unreadable { bucket: self.name, key: key.to_owned(), source }),
        }
    }

    /// Whether somebody has deleted the key. A key that vanished with its bucket, or never was there, was not deleted.
    ///
    /// # Errors
    /// `Unavailable` or `TimedOut`.
    pub async fn was_deleted(&self, key: &str) -> Result<bool, BucketError> {
        Ok(self.last_write(key).await?.is_some_and(|(_, is_deletion)| is_deletion))
    }

    /// Whether the key has a value, which need not open.
    ///
    /// # Errors
    /// `Unavailable` or `TimedOut`.
    pub async fn contains(&self, key: &str) -> Result<bool, BucketError> {
        Ok(self.get_stored(key).await?.is_some())
    }

    /// Every key with its value. A value that does not open is given as it is stored, which is no JSON, and the log says so.
    ///
    /// # Errors
    /// `Unavailable` or `TimedOut`.
    pub async fn entries(&self) -> Result<BTreeMap<String, Bytes>, BucketError> {
        let mut entries = self.stored_entries().await?;
        if self.holds_secrets {
            for (key, value) in &mut entries {
                match self.open_value(key, value.clone()) {
                    Ok(opened) => *value = opened,
                    Err(error) => tracing::error!("{error}"),
                }
            }
        }
        Ok(entries)
    }

    async fn stored_entries(&self) -> Result<BTreeMap<String, Bytes>, BucketError> {
        self.read(async |store| read_whole(&store, &self.broker.client, false).await).await
    }

    /// Every key. Values do not travel.
    ///
    /// # Errors
    /// `Unavailable` or `TimedOut`.
    pub async fn keys(&self) -> Result<Vec<String>, BucketError> {
        let keys = self.read(async |store| read_whole(&store, &self.broker.client, true).await).await?;
        Ok(keys.into_keys().collect())
    }

    /// A number that is not below the number of keys: deletion markers count too.
    ///
    /// # Errors
    /// `Unavailable` or `TimedOut`.
    pub async fn key_count_bound(&self) -> Result<u64, BucketError> {
        self.read(async |store| Ok(store.stream.cached_info().state.messages)).await
    }

    /// Writes a key that is not there. Gives its revision.
    ///
    /// # Errors
    /// `Conflict` if the key is there; `Unavailable`, `TimedOut` or `Refused`.
    pub async fn create(&self, key: &str, value: Bytes) -> Result<u64, BucketError> {
        let value = self.seal_value(key, value)?;
        self.write(async |store| {
            store.create(key, value).await.map_err(|error| match error.kind() {
                CreateErrorKind::AlreadyExists => self.conflict(key),
                CreateErrorKind::InvalidKey
                | CreateErrorKind::Publish
                | CreateErrorKind::Ack
                | CreateErrorKind::Other => self.not_written(&error),
            })
        })
        .await
    }

    /// Writes over the revision that was read; 0: over a key that never was there. Gives the new revision.
    ///
    /// # Errors
    /// `Conflict` if the key has another revision; `Unavailable`, `TimedOut` or `Refused`.
    pub async fn update(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, BucketError> {
        let value = self.seal_value(key, value)?;
        self.write(async |store| {
            store.update(key, value, revision).await.map_err(|error| match error.kind() {
                UpdateErrorKind::WrongLastRevision => self.conflict(key),
                UpdateErrorKind::TimedOut => self.timed_out(),
                UpdateErrorKind::InvalidKey | UpdateErrorKind::Other => self.not_written(&error),
            })
        })
        .await
    }

    /// Writes over whatever is there. Gives the new revision.
    ///
    /// # Errors
    /// `Unavailable`, `TimedOut` or `Refused`.
    pub async fn put(&self, key: &str, value: Bytes) -> Result<u64, BucketError> {
        let value = self.seal_value(key, value)?;
        self.write(async |store| store.put(key, value).await.map_err(|error| self.not_written(&error))).await
    }

    /// Reads a key as JSON, changes it and writes it back, up to ten times if other clients are faster. `change` gets none
    /// for a key that is not there, and gives none to leave the key as it is. Gives what was written.
    ///
    /// # Errors
    /// `Conflict` if others were faster each time; `Unreadable`, `Unavailable`, `TimedOut` or `Refused`.
    pub async fn change_value<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<T>, BucketError> {
        for _ in 0..CHANGE_TRIES {
            let (stored, revision) =
                self.get_json(key).await?.map_or((None, None), |(value, at)| (Some(value), Some(at)));
            let Some(changed) = change(stored) else { return Ok(None) };
            let value = to_json(&changed).map_err(|error| self.refused(error))?;
            let written = match revision {
                Some(revision) => self.update(key, value, revision).await,
                None => self.create(key, value).await,
            };
            match written {
                Ok(_) => return Ok(Some(changed)),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Err(self.conflict(key))
    }

    /// Deletes a key and leaves a marker, which watchers of the bucket see. Deleting a key that is not there succeeds, too.
    ///
    /// # Errors
    /// `Unavailable`, `TimedOut` or `Refused`.
    pub async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.write(async |store| store.delete(key).await.map_err(|error| self.not_deleted(&error))).await
    }

    /// As [`Bucket::delete`], and the values that the key had before are removed from the disk.
    ///
    /// # Errors
    /// `Unavailable`, `TimedOut` or `Refused`.
    pub async fn purge(&self, key: &str) -> Result<(), BucketError> {
        self.write(async |store| store.purge(key).await.map_err(|error| self.not_deleted(&error))).await
    }

    /// As [`Bucket::purge`], unless the key has another revision by then.
    ///
    /// # Errors
    /// `Unavailable`, `TimedOut` or `Refused`; the last one, too, if the key has changed.
    pub async fn purge_revision(&self, key: &str, revision: u64) -> Result<(), BucketError> {
        self.write(async |store| {
            store.purge_expect_revision(key, Some(revision)).await.map_err(|error| self.not_deleted(&error))
        })
        .await
    }

    /// The client's own bucket, for a watch; made if it is missing.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn open(&self) -> Result<Store, BucketError> {
        self.open_until(Instant::now() + CALL_WITHIN).await
    }

    async fn open_until(&self, deadline: Instant) -> Result<Store, BucketError> {
        match timeout_at(deadline, self.broker.expiring_bucket(self.name, self.max_age)).await {
            Ok(opened) => opened.map_err(|error| self.unavailable(format!("{error:#}"))),
            Err(_) => Err(self.unavailable("NATS did not answer in time")),
        }
    }

    async fn read<T, F>(&self, read: impl FnOnce(Store) -> F) -> Result<T, BucketError>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let deadline = Instant::now() + CALL_WITHIN;
        let store = self.open_until(deadline).await?;
        match timeout_at(deadline, read(store)).await {
            Ok(read) => read.map_err(|error| self.unavailable(format!("{error:#}"))),
            Err(_) => Err(self.timed_out()),
        }
    }

    async fn write<T, F>(&self, write: impl FnOnce(Store) -> F) -> Result<T, BucketError>
    where
        F: Future<Output = Result<T, BucketError>>,
    {
        let deadline = Instant::now() + CALL_WITHIN;
        let store = self.open_until(deadline).await?;
        timeout_at(deadline, write(store)).await.unwrap_or_else(|_| Err(self.timed_out()))
    }
}

/// Whether a message of a bucket says that its key was deleted.
fn is_deletion(headers: &HeaderMap) -> bool {
    headers.get(OPERATION).is_some_and(|done| done.as_str() != "PUT")
}

/// A value as a bucket holds it.
///
/// # Errors
/// If the value cannot be written as JSON: a map whose keys are no text.
pub fn to_json<T: Serialize>(value: &T) -> serde_json::Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from)
}

/// The characters of a key (NATS ADR-8).
fn is_valid_key(key: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_=.".contains(&byte);
    !key.is_empty() && !key.starts_with('.') && !key.ends_with('.') && key.bytes().all(is_allowed)
}
