//! What is known of a replay: one key in the bucket, and the only truth about it.
//!
//! Whoever reads the bucket finds a [`Replay`]; the dispatchers' own two fields stand beside its.

use crate::jetstream::kv_bucket;
use anyhow::Context as _;
use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use futures::TryStreamExt as _;
use kurir_chassis::broker::Broker;
use kurir_contract::webhook::{REPLAYS_BUCKET, Replay};
use serde::{Deserialize, Serialize};

/// Tries to change a record that others change too.
const TRIES: u32 = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRecord {
    pub replay: Replay,
    pub feed: CopyProgress,
}

/// How far its events were moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyProgress {
    /// The last message that it is about, in the stream that it is fed from.
    pub last_sequence: u64,
    /// All are in RETRIES, or were.
    pub fed: bool,
}

impl ReplayRecord {
    fn read(stored: &[u8]) -> serde_json::Result<Self> {
        Ok(Self { replay: serde_json::from_slice(stored)?, feed: serde_json::from_slice(stored)? })
    }

    fn write(&self) -> serde_json::Result<Bytes> {
        let mut fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_value(serde_json::to_value(&self.replay)?)?;
        fields.insert("lastSequence".to_owned(), self.feed.last_sequence.into());
        fields.insert("fed".to_owned(), self.feed.fed.into());
        Ok(serde_json::to_vec(&fields)?.into())
    }
}

/// The bucket.
#[derive(Clone)]
pub struct ReplayStore {
    broker: Broker,
}

impl ReplayStore {
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self { broker }
    }

    pub async fn create(&self, record: &ReplayRecord) -> anyhow::Result<()> {
        let written = record.write().context("failed to write a replay")?;
        self.bucket().await?.create(&record.replay.id, written).await.context("failed to store a replay")?;
        Ok(())
    }

    pub async fn get(&self, id: &str) -> anyhow::Result<Option<ReplayRecord>> {
        Ok(Self::entry(&self.bucket().await?, id).await?.map(|(record, _)| record))
    }

    /// Changes it, however many others do so; what `change` leaves as it was is not written. Gives what is stored then.
    pub async fn change(
        &self,
        id: &str,
        change: impl Fn(&mut ReplayRecord) + Send,
    ) -> anyhow::Result<Option<ReplayRecord>> {
        let bucket = self.bucket().await?;
        for _ in 0..TRIES {
            let Some((before, revision)) = Self::entry(&bucket, id).await? else { return Ok(None) };
            let mut record = before.clone();
            change(&mut record);
            if record == before {
                return Ok(Some(record));
            }
            let value = record.write().context("failed to write a replay")?;
            if kv_bucket::write(&bucket, id, value, revision).await? {
                return Ok(Some(record));
            }
        }
        anyhow::bail!("others changed the replay {id} at the same time, {TRIES} times in a row")
    }

    pub async fn ids(&self) -> anyhow::Result<Vec<String>> {
        let keys = self.bucket().await?.keys().await.context("failed to list the replays")?;
        keys.try_collect().await.context("failed to list the replays")
    }

    pub async fn forget(&self, id: &str) -> anyhow::Result<()> {
        self.bucket().await?.purge(id).await.context("failed to remove a replay")
    }

    async fn bucket(&self) -> anyhow::Result<Store> {
        self.broker.bucket(REPLAYS_BUCKET).await
    }

    async fn entry(bucket: &Store, id: &str) -> anyhow::Result<Option<(ReplayRecord, u64)>> {
        // What no replay is called may be no key of a bucket either.
        if !is_id(id) {
            return Ok(None);
        }
        let Some((value, revision)) = kv_bucket::entry(bucket, id).await? else { return Ok(None) };
        Ok(Some((ReplayRecord::read(&value).context("what is stored of a replay cannot be read")?, revision)))
    }
}

/// A name for a replay that begins.
#[must_use]
pub fn new_id() -> String {
    format!("rep_{:032x}", rand::random::<u128>())
}

fn is_id(id: &str) -> bool {
    id.strip_prefix("rep_")
        .is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurir_contract::{
        endpoint::EndpointId,
        webhook::{ReplaySelection, ReplayState},
    };

    #[test]
    fn what_is_stored_is_read_back_and_is_the_contracts() {
        let replay = Replay {
            id: new_id(),
            endpoint: EndpointId::default(),
            of: ReplaySelection::Since { since: "2026-11-24T13:00:00.000Z".to_owned() },
            state: ReplayState::Running,
            total: 7,
            waiting: 3,
            created_at: "2026-11-24T13:27:25.042Z".to_owned(),
            ended_at: None,
        };
        let record = ReplayRecord { replay: replay.clone(), feed: CopyProgress { last_sequence: 99, fed: true } };
        let stored = record.write().unwrap();
        assert_eq!(ReplayRecord::read(&stored).unwrap(), record);
        assert_eq!(serde_json::from_slice::<Replay>(&stored).unwrap(), replay);
    }

    #[test]
    fn only_an_id_is_one() {
        assert!(is_id(&new_id()));
        for id in ["", "rep_", "rep_1", "ep_00000000000000000000000000000001", "rep_0000000000000000000000000000000g"] {
            assert!(!is_id(id), "{id}");
        }
    }
}
