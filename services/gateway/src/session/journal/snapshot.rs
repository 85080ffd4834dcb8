//! The newest snapshot of a session's files, sealed, in the object store `session_snapshots` under the session's id.

use super::UnreadableState;
use crate::session::store::SESSION_FILES;
use anyhow::Context as _;
use kurir_chassis::{
    broker::Broker,
    key_ring::KeyRing,
    objects::{ObjectError, ObjectHead},
    session_archive::{ArchiveKey, ArchiveManifest, read_manifest, unpack_archive, write_archive},
};
use kurir_contract::{clock, session::SessionId};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter},
    path::Path,
    time::Duration,
};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

/// The object store of all snapshots.
pub const SNAPSHOTS_BUCKET: &str = "session_snapshots";
/// A snapshot is kept until a newer one replaces it.
const FOREVER: Duration = Duration::ZERO;
const CONTENT_TYPE: &str = "application/octet-stream";
/// In the manifest: the sequence of the last change that the snapshot holds.
const SEQUENCE: &str = "sequence";
/// In the manifest: when the stream of changes was made to which the sequence belongs.
const STREAM: &str = "streamCreated";

pub struct SnapshotStore {
    broker: Broker,
    keys: KeyRing,
    session: SessionId,
}

/// A snapshot that was fetched.
pub struct FoundSnapshot {
    sealed: NamedTempFile,
    /// The key that opens it.
    key: String,
    manifest: ArchiveManifest,
}

impl SnapshotStore {
    pub fn new(broker: Broker, keys: KeyRing, session: SessionId) -> Self {
        Self { broker, keys, session }
    }

    /// Fetches the newest snapshot; none if there is none.
    pub async fn find(&self) -> anyhow::Result<Option<FoundSnapshot>> {
        let mut object = match self.broker.open_object(SNAPSHOTS_BUCKET, self.session.as_str()).await {
            Ok(object) => object,
            Err(ObjectError::NotFound) => return Ok(None),
            Err(error) => return Err(error).context("failed to open the session's snapshot"),
        };
        let sealed = NamedTempFile::new().context("failed to make a file for the session's snapshot")?;
        let mut file = tokio::fs::File::create(sealed.path()).await?;
        while let Some(chunk) = object.next_chunk().await.context("failed to fetch the session's snapshot")? {
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        let keys: Vec<String> = self.keys.texts().map(str::to_owned).collect();
        tokio::task::spawn_blocking(move || open_with_any(sealed, keys)).await?.map(Some)
    }

    /// Stores the files of a folder as the newest snapshot.
    pub async fn put(&self, folder: &Path, sequence: u64, stream_created: String) -> anyhow::Result<()> {
        let mut manifest = ArchiveManifest::new(self.session.clone(), clock::now_iso());
        manifest.metadata =
            BTreeMap::from([(SEQUENCE.to_owned(), sequence.to_string()), (STREAM.to_owned(), stream_created)]);
        let sealed = NamedTempFile::new_in(folder)?;
        let key = self.keys.texts().next().context("there is no key")?.to_owned();
        let (into, from) = (sealed.reopen()?, folder.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            write_archive(ArchiveKey::Random(&key), &manifest, (&from, &SESSION_FILES), BufWriter::new(into))
        });
        written.await?.context("failed to write the session's snapshot")?;
        let head = ObjectHead { name: self.session.as_str(), content_type: CONTENT_TYPE, sender_name: None };
        let mut file = tokio::fs::File::open(sealed.path()).await?;
        let stored = self.broker.put_object(SNAPSHOTS_BUCKET, head, FOREVER, &mut file).await;
        stored.context("failed to store the session's snapshot").map(drop)
    }

    pub async fn remove(&self) -> anyhow::Result<()> {
        if self.exists().await? {
            let store = self.broker.object_store(SNAPSHOTS_BUCKET, FOREVER).await?;
            store.delete(self.session.as_str()).await.context("failed to remove the session's snapshot")?;
        }
        Ok(())
    }

    /// Whether there is a snapshot.
    pub async fn exists(&self) -> anyhow::Result<bool> {
        match self.broker.open_object(SNAPSHOTS_BUCKET, self.session.as_str()).await {
            Ok(_) => Ok(true),
            Err(ObjectError::NotFound) => Ok(false),
            Err(error) => Err(error).context("failed to open the session's snapshot"),
        }
    }
}

impl FoundSnapshot {
    /// Whether its position belongs to the stream that was made at this time.
    pub fn is_of(&self, stream_created: &str) -> bool {
        self.manifest.metadata.get(STREAM).is_some_and(|created| created == stream_created)
    }

    /// The sequence of the last change in it.
    pub fn sequence(&self) -> u64 {
        self.manifest.metadata.get(SEQUENCE).and_then(|sequence| sequence.parse().ok()).unwrap_or_default()
    }

    /// Writes its files into a folder.
    pub async fn unpack(self, folder: &Path) -> anyhow::Result<()> {
        let folder = folder.to_owned();
        let unpacked = tokio::task::spawn_blocking(move || {
            unpack_archive(&self.key, BufReader::new(File::open(self.sealed.path())?), &SESSION_FILES, &folder)
        });
        unpacked.await?.context("failed to unpack the session's snapshot")
    }
}

fn open_with_any(sealed: NamedTempFile, keys: Vec<String>) -> anyhow::Result<FoundSnapshot> {
    let mut refusal = None;
    for key in keys {
        match read_manifest(&key, BufReader::new(File::open(sealed.path())?)) {
            Ok(manifest) => return Ok(FoundSnapshot { sealed, key, manifest }),
            Err(error) => refusal = Some(error),
        }
    }
    let refusal = refusal.map(|error| error.to_string()).unwrap_or_default();
    Err(UnreadableState(format!("the session's snapshot in NATS does not open with SESSION_KEY: {refusal}")).into())
}
