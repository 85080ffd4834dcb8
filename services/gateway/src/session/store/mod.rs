//! A session's keys: a SQLite file in a folder of its own, which only its owner can read.
//!
//! The keys survive a restart and a kill, so that the client needs no new QR code. Wiping removes every trace of them.

mod batching_store;
mod delegated;
mod incoming;
mod key_file;

pub use batching_store::BatchingStore;
pub use delegated::without_at;
pub use incoming::{AdoptionRecord, IncomingKeys, SESSION_FILES, copy_files, find_adopted, find_paired};
pub use key_file::DamagedKeys;

use super::{abort::ConnectionAbort, client_tasks::ClientTasks, journal::SessionJournal, lease::FolderLease};
use anyhow::Context as _;
use kurir_contract::session::SessionId;
use std::{
    fs::{DirBuilder, remove_file, rename},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};
use whatsapp_rust::store::SqliteStore;

/// A session's folder, with its lease.
pub struct SessionStore {
    folder: PathBuf,
    lease: FolderLease,
    /// Of a session whose state is in NATS.
    journal: Option<SessionJournal>,
}

/// The database and SQLite's files for it, the secrets of polls, the time at which the phone was seen.
const FILES: [&str; 5] = [DATABASE, "whatsapp.db-wal", "whatsapp.db-shm", POLLS, PHONE];
/// The name of the database.
pub const DATABASE: &str = "whatsapp.db";
/// The name of the file of polls.
pub const POLLS: &str = "polls.jsonl";
const PHONE: &str = "phone.json";

impl SessionStore {
    /// # Errors
    /// If the folder cannot be made or another gateway uses it.
    pub fn open(sessions: &Path, id: &SessionId) -> anyhow::Result<Self> {
        let folder = sessions.join(id.as_str());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("failed to make {} (WHATSAPP_SESSION_PATH)", folder.display()))?;
        let lease = FolderLease::take(&folder)?;
        incoming::remove_leftovers(&folder)?;
        Ok(Self { folder, lease, journal: None })
    }

    /// Keeps the session's state in NATS from now on; the files are as NATS has them.
    #[must_use]
    pub fn with_journal(self, journal: SessionJournal) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// The session's state in NATS, if it is there.
    #[must_use]
    pub fn journal(&self) -> Option<SessionJournal> {
        self.journal.clone()
    }

    /// Opens the keys for one connection, which is aborted if a message cannot be written.
    ///
    /// # Errors
    /// If the database cannot be opened; [`DamagedKeys`] if another try would not help.
    pub async fn open_keys(&self, breaker: ConnectionAbort, tasks: ClientTasks) -> anyhow::Result<Arc<BatchingStore>> {
        let file = self.folder.join(DATABASE);
        // The library tries for 30 s to open a file that is none of its own.
        let checked = file.clone();
        tokio::task::spawn_blocking(move || key_file::check_keys(&checked)).await.context("the check panicked")??;
        let store = self.open_database().await?;
        if let Some(journal) = &self.journal {
            journal.settle(&store).await?;
        }
        Ok(Arc::new(BatchingStore::new(Arc::new(store), breaker, tasks, self.journal.clone())))
    }

    async fn open_database(&self) -> anyhow::Result<SqliteStore> {
        let file = self.folder.join(DATABASE);
        let path = file.to_str().with_context(|| format!("{} is no text that SQLite takes", file.display()))?;
        SqliteStore::new(path).await.with_context(|| format!("failed to open {}", file.display()))
    }

    /// The session's own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names the folder on this machine; see [`FolderLease::identity`].
    #[must_use]
    pub fn folder_identity(&self) -> String {
        self.lease.identity()
    }

    /// The file of the polls that were seen.
    #[must_use]
    pub fn polls_file(&self) -> PathBuf {
        self.folder.join(POLLS)
    }

    /// The file with the time at which the phone was seen.
    #[must_use]
    pub fn phone_file(&self) -> PathBuf {
        self.folder.join(PHONE)
    }

    /// Makes the files and NATS agree, before the files are replaced: the last connection may have given a change up half-way.
    ///
    /// # Errors
    /// If NATS is away, or another gateway has the session.
    pub async fn settle(&self) -> anyhow::Result<()> {
        match &self.journal {
            Some(journal) => journal.settle(&self.open_database().await?).await,
            None => Ok(()),
        }
    }

    /// Notes in NATS that the keys are removed, or that others were installed, if the session's state is there.
    ///
    /// # Errors
    /// If NATS does not take it.
    pub async fn note_replaced(&self) -> anyhow::Result<()> {
        match &self.journal {
            Some(journal) if self.folder.join(DATABASE).exists() => journal.take_snapshot().await,
            Some(journal) => journal.note_wiped().await,
            None => Ok(()),
        }
    }

    /// Removes the keys. A client that still has them open keeps a file without a name.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn wipe(&self) -> anyhow::Result<()> {
        remove_files(&self.folder)
    }
}

/// Removes a session's files from its folder. A client that has them open keeps files without names.
///
/// # Errors
/// If a file cannot be removed.
pub fn remove_files(folder: &Path) -> anyhow::Result<()> {
    for name in FILES {
        let file = folder.join(name);
        match remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // Somebody made it, so somebody may want what is in it.
            Err(_) if file.is_dir() => {
                let aside = folder.join(format!("{name}.damaged"));
                rename(&file, &aside).with_context(|| format!("failed to move {} away", file.display()))?;
            }
            Err(error) => return Err(error).with_context(|| format!("failed to remove {}", file.display())),
        }
    }
    Ok(())
}
