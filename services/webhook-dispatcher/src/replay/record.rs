//! The stored state of a replay: one key in the bucket, and the only truth about it.
//!
//! A reader of the bucket finds a [`Replay`]; the dispatchers add fields of their own.

use anyhow::Context as _;
use bytes::Bytes;
use kurir_chassis::{broker::Broker, bucket::Bucket};
use kurir_contract::webhook::{REPLAYS_BUCKET, Replay};
use serde::{Deserialize, Serialize};

/// Tries to change a record that others change at the same time.
const TRIES: u32 = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRecord {
    pub replay: Replay,
    pub progress: CopyProgress,
}

/// How far the events were copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyProgress {
    /// The last message of the replay in its source stream.
    pub last_sequence: u64,
    /// Whether all events were copied into RETRIES.
    #[serde(rename = "fed")]
    pub copied: bool,
    /// When the source stream was created. Sequences say nothing in another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_created: Option<String>,
    /// All messages up to this one were copied; 0: nothing is known.
    #[serde(default)]
    pub copied_through: u64,
}

impl ReplayRecord {
    fn from_json(stored: &[u8]) -> serde_json::Result<Self> {
        Ok(Self { replay: serde_json::from_slice(stored)?, progress: serde_json::from_slice(stored)? })
    }

    fn to_json(&self) -> serde_json::Result<Bytes> {
        let mut fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_value(serde_json::to_value(&self.replay)?)?;
        let progress: serde_json::Map<String, serde_json::Value> =
            serde_json::from_value(serde_json::to_value(&self.progress)?)?;
        fields.extend(progress);
        Ok(serde_json::to_vec(&fields)?.into())
    }
}

/// The bucket of replays.
#[derive(Clone)]
pub struct ReplayStore {
    records: Bucket,
}

impl ReplayStore {
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self { records: Bucket::new(broker, REPLAYS_BUCKET) }
    }

    pub async fn create(&self, record: &ReplayRecord) -> anyhow::Result<()> {
        let written = record.to_json().context("failed to write a replay")?;
        self.records.create(&record.replay.id, written).await.context("failed to store a replay")?;
        Ok(())
    }

    pub async fn get(&self, id: &str) -> anyhow::Result<Option<ReplayRecord>> {
        Ok(self.read(id).await?.map(|(record, _)| record))
    }

    /// Changes a record, however many others do so at the same time. A record that `change` leaves as it was is not
    /// written. Gives what is stored then.
    pub async fn update(
        &self,
        id: &str,
        change: impl Fn(&mut ReplayRecord) + Send,
    ) -> anyhow::Result<Option<ReplayRecord>> {
        for _ in 0..TRIES {
            let Some((before, revision)) = self.read(id).await? else { return Ok(None) };
            let mut record = before.clone();
            change(&mut record);
            if record == before {
                return Ok(Some(record));
            }
            let value = record.to_json().context("failed to write a replay")?;
            match self.records.update(id, value, revision).await {
                Ok(_) => return Ok(Some(record)),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error).context("failed to store a replay"),
            }
        }
        anyhow::bail!("others changed the replay {id} at the same time in each of {TRIES} tries")
    }

    pub async fn ids(&self) -> anyhow::Result<Vec<String>> {
        self.records.keys().await.context("failed to list the replays")
    }

    pub async fn delete(&self, id: &str) -> anyhow::Result<()> {
        self.records.purge(id).await.context("failed to remove a replay")
    }

    async fn read(&self, id: &str) -> anyhow::Result<Option<(ReplayRecord, u64)>> {
        let Some(entry) = self.records.get(id).await? else { return Ok(None) };
        let record = ReplayRecord::from_json(&entry.value).context("the stored replay is not readable")?;
        Ok(Some((record, entry.revision)))
    }
}

/// A name for a new replay.
#[must_use]
pub fn new_id() -> String {
    format!("rep_{:032x}", rand::random::<u128>())
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
        let progress = CopyProgress {
            last_sequence: 99,
            copied: true,
            stream_created: Some("2026-11-24T13:27:25.042Z".to_owned()),
            copied_through: 42,
        };
        let record = ReplayRecord { replay: replay.clone(), progress };
        let stored = record.to_json().unwrap();
        assert_eq!(ReplayRecord::from_json(&stored).unwrap(), record);
        assert_eq!(serde_json::from_slice::<Replay>(&stored).unwrap(), replay);
    }

    #[test]
    fn a_record_of_the_first_version_is_read() {
        let stored = br#"{"id":"rep_1","endpoint":"default","of":"dead_letters","state":"running","total":1,
            "waiting":1,"createdAt":"2026-11-24T13:27:25.042Z","lastSequence":7,"fed":false}"#;
        let progress: CopyProgress = serde_json::from_slice(stored).unwrap();
        assert_eq!(progress, CopyProgress { last_sequence: 7, ..CopyProgress::default() });
    }
}
