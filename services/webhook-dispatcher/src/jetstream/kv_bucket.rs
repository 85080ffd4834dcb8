//! A value in a KV bucket: read with its revision, and written only over what was read.

use anyhow::Context as _;
use async_nats::jetstream::kv::{Operation, Store, UpdateErrorKind};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// With its revision; none: there is no such key, or it was deleted.
///
/// # Errors
/// If the broker is away, or the key is none.
pub async fn entry(bucket: &Store, key: &str) -> anyhow::Result<Option<(Bytes, u64)>> {
    let entry = bucket.entry(key).await.with_context(|| format!("failed to read of the bucket {}", bucket.name))?;
    Ok(entry.filter(|entry| entry.operation == Operation::Put).map(|entry| (entry.value, entry.revision)))
}

/// The same of a value that is JSON.
///
/// # Errors
/// If it is not.
pub async fn read<T: DeserializeOwned>(bucket: &Store, key: &str) -> anyhow::Result<Option<(T, u64)>> {
    let Some((value, revision)) = entry(bucket, key).await? else { return Ok(None) };
    let unreadable = || format!("what the bucket {} holds cannot be read", bucket.name);
    Ok(Some((serde_json::from_slice(&value).with_context(unreadable)?, revision)))
}

/// False: somebody else was faster.
///
/// # Errors
/// If the broker is away or refuses.
pub async fn write(bucket: &Store, key: &str, value: Bytes, revision: u64) -> anyhow::Result<bool> {
    match bucket.update(key, value, revision).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
        Err(error) => Err(error).with_context(|| format!("failed to write to the bucket {}", bucket.name)),
    }
}

/// As it is stored.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn json<T: Serialize>(value: &T) -> anyhow::Result<Bytes> {
    Ok(serde_json::to_vec(value).context("failed to write JSON")?.into())
}
