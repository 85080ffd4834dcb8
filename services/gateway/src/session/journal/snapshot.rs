//! Snapshots of a session's files, sealed, in the object store `session_snapshots`. Each is an object of its own; which one
//! counts is said in the session's changes, where only its holder can write.

use super::UnreadableState;
use crate::session::store::SESSION_FILES;
use anyhow::Context as _;
use async_nats::jetstream::object_store::ObjectStore;
use futures::StreamExt as _;
use kurir_chassis::{
    broker::Broker,
    key_ring::KeyRing,
    objects::{ObjectError, ObjectHead},
    session_archive::{ArchiveKey, ArchiveManifest, read_manifest, unpack_archive, write_archive},
};
use kurir_contract::{clock, session::SessionId};
use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::Path,
    time::Duration,
};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

/// The object store of all snapshots.
const SNAPSHOTS_BUCKET: &str = "session_snapshots";
/// A snapshot is kept until a newer one replaces it.
const FOREVER: Duration = Duration::ZERO;
const CONTENT_TYPE: &str = "application/octet-stream";

pub struct SnapshotStore {
    broker: Broker,
    keys: KeyRing,
    session: SessionId,
}

impl SnapshotStore {
    pub fn new(broker: Broker, keys: KeyRing, session: SessionId) -> Self {
        Self { broker, keys, session }
    }

    /// Writes the files of a snapshot into a folder; false if there is no such object.
    pub async fn unpack(&self, object: &str, folder: &Path) -> anyhow::Result<bool> {
        let mut object = match self.broker.open_object(SNAPSHOTS_BUCKET, object).await {
            Ok(object) => object,
            Err(ObjectError::NotFound) => return Ok(false),
            Err(error) => return Err(error).context("failed to open the session's snapshot"),
        };
        let sealed = NamedTempFile::new_in(folder).context("failed to make a file for the session's snapshot")?;
        let mut file = tokio::fs::File::create(sealed.path()).await?;
        while let Some(chunk) = object.next_chunk().await.context("failed to fetch the session's snapshot")? {
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        let keys: Vec<String> = self.keys.texts().map(str::to_owned).collect();
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || unpack_with_any(&sealed, &keys, &folder)).await??;
        Ok(true)
    }

    /// Stores the files of a folder as an object of its own, and gives its name.
    pub async fn put(&self, folder: &Path) -> anyhow::Result<String> {
        let manifest = ArchiveManifest::new(self.session.clone(), clock::now_iso());
        let sealed = NamedTempFile::new_in(folder)?;
        let key = self.keys.texts().next().context("there is no key")?.to_owned();
        let (into, from) = (sealed.reopen()?, folder.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            write_archive(ArchiveKey::Random(&key), &manifest, (&from, &SESSION_FILES), BufWriter::new(into))
        });
        written.await?.context("failed to write the session's snapshot")?;
        let name = format!("{}{:016x}", self.prefix(), rand::random::<u64>());
        let head = ObjectHead { name: &name, content_type: CONTENT_TYPE, sender_name: None };
        let mut file = tokio::fs::File::open(sealed.path()).await?;
        let stored = self.broker.put_object(SNAPSHOTS_BUCKET, head, FOREVER, &mut file).await;
        stored.context("failed to store the session's snapshot")?;
        Ok(name)
    }

    /// Whether this object is there.
    pub async fn exists(&self, object: &str) -> anyhow::Result<bool> {
        match self.broker.open_object(SNAPSHOTS_BUCKET, object).await {
            Ok(_) => Ok(true),
            Err(ObjectError::NotFound) => Ok(false),
            Err(error) => Err(error).context("failed to open the session's snapshot"),
        }
    }

    /// The snapshots of the session that are there, the newest last.
    pub async fn list(&self) -> anyhow::Result<Vec<String>> {
        let unread = "failed to list the snapshots";
        let mut objects = self.store().await?.list().await.context(unread)?;
        let (mut found, prefix) = (Vec::new(), self.prefix());
        while let Some(object) = objects.next().await {
            let object = object.context(unread)?;
            if !object.deleted && object.name.starts_with(&prefix) {
                found.push((object.modified, object.name));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, name)| name).collect())
    }

    /// Removes the session's snapshots but this one: older ones, and what a gateway stored that had lost the session.
    pub async fn remove_all_but(&self, kept: Option<&str>) -> anyhow::Result<()> {
        let store = self.store().await?;
        for object in self.list().await?.iter().filter(|object| Some(object.as_str()) != kept) {
            store.delete(object).await.context("failed to remove a snapshot")?;
        }
        Ok(())
    }

    async fn store(&self) -> anyhow::Result<ObjectStore> {
        self.broker.object_store(SNAPSHOTS_BUCKET, FOREVER).await
    }

    /// No session's id has a dot.
    fn prefix(&self) -> String {
        format!("{}.", self.session)
    }
}

fn unpack_with_any(sealed: &NamedTempFile, keys: &[String], folder: &Path) -> anyhow::Result<()> {
    let mut refusal = None;
    for key in keys {
        match read_manifest(key, BufReader::new(File::open(sealed.path())?)) {
            Ok(_) => {
                let unpacked = unpack_archive(key, BufReader::new(File::open(sealed.path())?), &SESSION_FILES, folder);
                return unpacked.context("failed to unpack the session's snapshot");
            }
            Err(error) => refusal = Some(error),
        }
    }
    let refusal = refusal.map(|error| error.to_string()).unwrap_or_default();
    Err(UnreadableState(format!("the session's snapshot in NATS does not open with SESSION_KEY: {refusal}")).into())
}
