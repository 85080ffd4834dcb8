//! A session's state in NATS, so that another gateway goes on with it when this one is gone.
//!
//! The client works on its SQLite file, which is scratch. Each change is appended to the stream `SESSION_CHANGES` first, as
//! one message under the session's subject, and then written to the file ([`StoreChange`]). Now and then a snapshot of the
//! file goes into the object store `session_snapshots`, and the changes before it are removed. A gateway that takes a
//! session over loads the snapshot and the changes behind it ([`SessionJournal::restore`]).
//!
//! An append names the message that it follows. A gateway that lost its session to another one is refused by NATS, writes
//! nothing more, and ends the session ([`Overtaken`]). Everything is sealed with the operator's `SESSION_KEY`.

mod change;
mod change_log;
mod snapshot;

pub use change::{PendingChange, StoreChange};
pub use change_log::CHANGES_STREAM;
pub use snapshot::SNAPSHOTS_BUCKET;

use crate::session::store::{DATABASE, POLLS, copy_files, remove_files};
use anyhow::Context as _;
use change_log::{AppendError, ChangeLog, LogEntry, Stored};
use kurir_chassis::{broker::Broker, key_ring::KeyRing, shutdown::CancellationToken};
use kurir_contract::session::SessionId;
use snapshot::SnapshotStore;
use std::{
    fs::{OpenOptions, rename},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Mutex, MutexGuard, Notify};
use wacore::store::error::StoreError;
use whatsapp_rust::store::{DeviceStore as _, SqliteStore};

/// A snapshot is due after so many changes,
const CHANGES_UNTIL_SNAPSHOT: u64 = 1_000;
/// or so many bytes of them: reading them back must not make a takeover long.
const BYTES_UNTIL_SNAPSHOT: u64 = 4 << 20;
/// A snapshot that failed is tried again.
const SNAPSHOT_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The name of a database whose content went to NATS.
const MOVED: &str = "whatsapp.db.moved-to-nats";
/// How often it is looked whether the snapshot is there still.
const LOOK_FOR_SNAPSHOT_EVERY: Duration = Duration::from_secs(30);
/// NATS may be away, or be starting.
const RESTORE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Another gateway has taken the session over, so this one must end it.
#[derive(Debug, thiserror::Error)]
#[error("another gateway has taken the session over")]
pub struct Overtaken;

/// What NATS has of the session cannot be read, and no further try helps.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableState(pub(super) String);

/// The state of one session in NATS. Clones share it.
#[derive(Clone)]
pub struct SessionJournal(Arc<JournalParts>);

struct JournalParts {
    session: SessionId,
    folder: PathBuf,
    /// Where the keys were before they were in NATS.
    former: Option<PathBuf>,
    log: ChangeLog,
    snapshots: SnapshotStore,
    /// Changes that nobody waits for; they go out before the next one.
    notes: std::sync::Mutex<Vec<StoreChange>>,
    /// Held while a change is appended and written, so that both have the same order.
    position: Mutex<JournalPosition>,
    /// Whether the last append may be stored although it failed: the file is behind the log then.
    is_unsure: AtomicBool,
    is_overtaken: AtomicBool,
    has_snapshot: AtomicBool,
    snapshot_due: Notify,
    /// How long an append may wait for NATS.
    wait: Duration,
}

/// How far the log is written.
#[derive(Default)]
struct JournalPosition {
    /// The sequence of the session's last message; 0 if there is none.
    last: u64,
    changes: u64,
    bytes: u64,
    /// The stream in which `last` is.
    stream: String,
}

/// The turn of a change: it is in the log, and is to be written to the file before this is dropped.
pub struct JournalTurn<'a>(#[expect(dead_code, reason = "it is held")] MutexGuard<'a, JournalPosition>);

impl SessionJournal {
    /// `folder` is the session's own, whose files are scratch. An append waits for NATS as long as `wait`.
    #[must_use]
    pub fn new(broker: &Broker, keys: &KeyRing, session: &SessionId, folder: &Path, wait: Duration) -> Self {
        Self(Arc::new(JournalParts {
            session: session.clone(),
            folder: folder.to_owned(),
            former: None,
            log: ChangeLog::new(broker.clone(), keys.clone(), session.clone()),
            snapshots: SnapshotStore::new(broker.clone(), keys.clone(), session.clone()),
            notes: std::sync::Mutex::default(),
            position: Mutex::default(),
            is_unsure: AtomicBool::new(false),
            is_overtaken: AtomicBool::new(false),
            has_snapshot: AtomicBool::new(false),
            snapshot_due: Notify::new(),
            wait,
        }))
    }

    /// A session of which NATS knows nothing begins with the keys of this folder, if it has some: those of the time before
    /// `SESSION_STORE=nats`.
    #[must_use]
    pub fn or_from(mut self, former: &Path) -> Self {
        // Nobody shares a journal that was just made.
        if let Some(parts) = Arc::get_mut(&mut self.0) {
            parts.former = Some(former.to_owned());
        }
        self
    }

    /// As [`restore`](Self::restore), until NATS answers.
    ///
    /// # Errors
    /// [`UnreadableState`] if NATS answers with what cannot be read.
    pub async fn restore_when_there(&self) -> anyhow::Result<()> {
        loop {
            match self.restore().await {
                Ok(()) => return Ok(()),
                Err(error) if error.chain().any(|cause| cause.is::<UnreadableState>()) => return Err(error),
                Err(error) => {
                    tracing::warn!(session.id = %self.0.session, "the session is not read from NATS yet: {error:#}");
                    tokio::time::sleep(RESTORE_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Makes the session's files as NATS has them, and shuts out whoever held the session before. For a session of which NATS
    /// knows nothing see [`or_from`](Self::or_from).
    ///
    /// # Errors
    /// If NATS is away, or what is stored there cannot be read.
    pub async fn restore(&self) -> anyhow::Result<()> {
        let parts = &self.0;
        parts.log.ensure_stream().await?;
        let created = parts.log.stream_created().await?;
        let snapshot = parts.snapshots.find().await?;
        let mut position = parts.position.lock().await;
        // A stream that was made anew holds nothing that the snapshot has.
        let mut after = snapshot.as_ref().filter(|found| found.is_of(&created)).map_or(0, |found| found.sequence());
        let is_unknown = snapshot.is_none() && parts.log.last_sequence().await? == 0;
        // Without a snapshot the changes must go back to the first.
        let mut has_begun = snapshot.is_some() || is_unknown;
        remove_files(&parts.folder)?;
        let former = parts.former.as_deref().filter(|former| is_unknown && former.join(DATABASE).exists());
        if let Some(former) = former {
            copy_files(former, &parts.folder).context("failed to take over the keys of the folder")?;
        }
        parts.has_snapshot.store(snapshot.is_some(), Ordering::Release);
        if let Some(snapshot) = snapshot {
            snapshot.unpack(&parts.folder).await?;
        }
        let mut store = open(&parts.folder).await?;
        // Whoever writes on meanwhile is read, too, until this gateway's own message is the last.
        position.last = loop {
            let last = parts.log.last_sequence().await?;
            for LogEntry { sequence, change } in parts.log.read(after).await? {
                after = sequence;
                match change {
                    StoreChange::Wiped => {
                        drop(store);
                        remove_files(&parts.folder)?;
                        store = open(&parts.folder).await?;
                    }
                    StoreChange::Poll(line) => append_poll(&parts.folder, &line)?,
                    change => {
                        has_begun |= matches!(change, StoreChange::CreateDevice);
                        change.apply(&store).await?;
                    }
                }
            }
            match parts.log.append(&StoreChange::Taken, last.max(after), self.deadline()).await {
                Ok(stored) => break stored.sequence,
                Err(AppendError::Overtaken) => {}
                Err(AppendError::Failed(error)) => return Err(error).context("failed to take the session over"),
            }
        };
        if !has_begun && has_device(&store).await? {
            let text =
                "the session's snapshot is missing in NATS: restore the object store session_snapshots from a backup";
            return Err(UnreadableState(text.to_owned()).into());
        }
        *position = JournalPosition { last: position.last, stream: created, ..JournalPosition::default() };
        drop(position);
        parts.is_unsure.store(false, Ordering::Release);
        drop(store);
        if let Some(former) = former {
            self.take_snapshot().await.context("failed to store the first snapshot")?;
            // They would be old by the time somebody finds them.
            rename(former.join(DATABASE), former.join(MOVED)).context("failed to put the old keys aside")?;
            tracing::info!(session.id = %parts.session, "the keys of the session are in NATS from now on");
        }
        Ok(())
    }

    /// Appends a change soon, without waiting for it: in the worst case a kill at this moment loses it.
    pub fn note(&self, change: StoreChange) {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }

    /// Appends a change. The caller writes it to the file and drops the turn then.
    ///
    /// # Errors
    /// If NATS does not take it, or another gateway holds the session.
    pub async fn append(&self, change: StoreChange) -> Result<JournalTurn<'_>, StoreError> {
        let parts = &self.0;
        let mut position = parts.position.lock().await;
        if parts.is_overtaken.load(Ordering::Acquire) || parts.is_unsure.load(Ordering::Acquire) {
            return Err(StoreError::Validation("the session's state in NATS goes on without this change".to_owned()));
        }
        let notes = std::mem::take(&mut *parts.notes.lock().unwrap_or_else(PoisonError::into_inner));
        for change in notes.into_iter().chain([change]) {
            match parts.log.append(&change, position.last, self.deadline()).await {
                Ok(stored) => position.count(&stored),
                Err(AppendError::Overtaken) => {
                    parts.is_overtaken.store(true, Ordering::Release);
                    return Err(StoreError::Database(Box::new(Overtaken)));
                }
                Err(AppendError::Failed(error)) => {
                    parts.is_unsure.store(true, Ordering::Release);
                    return Err(StoreError::Database(error.into()));
                }
            }
        }
        if position.changes >= CHANGES_UNTIL_SNAPSHOT || position.bytes >= BYTES_UNTIL_SNAPSHOT {
            parts.snapshot_due.notify_one();
        }
        Ok(JournalTurn(position))
    }

    /// Makes the files and the log agree again before a new connection, if an append failed.
    ///
    /// # Errors
    /// [`Overtaken`] if another gateway has the session; or if NATS is away.
    pub async fn settle(&self, store: &SqliteStore) -> anyhow::Result<()> {
        let parts = &self.0;
        if parts.is_overtaken.load(Ordering::Acquire) {
            return Err(Overtaken.into());
        }
        if !parts.is_unsure.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut position = parts.position.lock().await;
        parts.log.ensure_stream().await?;
        let created = parts.log.stream_created().await?;
        if created != position.stream {
            // Somebody deleted it. The files are whole, and this gateway holds the session.
            tracing::warn!(session.id = %parts.session, "the stream of sessions' changes was made anew");
            *position = JournalPosition { stream: created, ..JournalPosition::default() };
            parts.snapshot_due.notify_one();
        }
        // The last message may be a part of a change that was never completed.
        let mut last = parts.log.last_sequence().await?;
        for LogEntry { sequence, change } in parts.log.read(position.last).await? {
            match change {
                StoreChange::Taken | StoreChange::Wiped => {
                    parts.is_overtaken.store(true, Ordering::Release);
                    return Err(Overtaken.into());
                }
                StoreChange::Poll(_) => {}
                change => change.apply(store).await?,
            }
            last = last.max(sequence);
        }
        position.last = last;
        parts.is_unsure.store(false, Ordering::Release);
        Ok(())
    }

    /// Notes that the files were wiped, after a logout.
    ///
    /// # Errors
    /// If NATS does not take it.
    pub async fn note_wiped(&self) -> anyhow::Result<()> {
        let _turn = self.append(StoreChange::Wiped).await?;
        Ok(())
    }

    /// Stores the files as they are, and removes the changes before them.
    ///
    /// # Errors
    /// If NATS or the disk fails.
    pub async fn take_snapshot(&self) -> anyhow::Result<()> {
        let parts = &self.0;
        let copy = tempfile::tempdir_in(&parts.folder)?;
        let (sequence, created) = {
            let mut position = parts.position.lock().await;
            anyhow::ensure!(!parts.is_overtaken.load(Ordering::Acquire), Overtaken);
            anyhow::ensure!(!parts.is_unsure.load(Ordering::Acquire), "the last change is not settled yet");
            let (from, to) = (parts.folder.clone(), copy.path().to_owned());
            tokio::task::spawn_blocking(move || copy_files(&from, &to)).await??;
            (position.changes, position.bytes) = (0, 0);
            (position.last, parts.log.stream_created().await?)
        };
        parts.snapshots.put(copy.path(), sequence, created).await?;
        parts.has_snapshot.store(true, Ordering::Release);
        parts.log.remove_before(sequence).await
    }

    /// Takes a snapshot whenever one is due, until the shutdown.
    ///
    /// # Errors
    /// Never; the shape is that of a service's task.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        loop {
            let due = tokio::time::timeout(LOOK_FOR_SNAPSHOT_EVERY, self.0.snapshot_due.notified());
            let Some(due) = shutdown.run_until_cancelled(due).await else { return Ok(()) };
            if due.is_err() && !self.lacks_snapshot().await {
                continue;
            }
            if let Err(error) = self.take_snapshot().await {
                tracing::warn!(session.id = %self.0.session, "no snapshot of the session was stored: {error:#}");
                if shutdown.run_until_cancelled(tokio::time::sleep(SNAPSHOT_AGAIN_AFTER)).await.is_none() {
                    return Ok(());
                }
                self.0.snapshot_due.notify_one();
            }
        }
    }

    /// Whether the snapshot vanished from NATS, so that the changes that are left do not go back to the first.
    async fn lacks_snapshot(&self) -> bool {
        let had_one = self.0.has_snapshot.load(Ordering::Acquire);
        had_one && matches!(self.0.snapshots.exists().await, Ok(false))
    }

    /// Removes everything that NATS has of the session.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn remove(broker: &Broker, keys: &KeyRing, session: &SessionId) -> anyhow::Result<()> {
        ChangeLog::new(broker.clone(), keys.clone(), session.clone()).remove_all().await?;
        SnapshotStore::new(broker.clone(), keys.clone(), session.clone()).remove().await
    }

    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.0.wait
    }
}

impl JournalPosition {
    fn count(&mut self, stored: &Stored) {
        self.last = stored.sequence;
        self.changes += 1;
        self.bytes += stored.bytes;
    }
}

async fn has_device(store: &SqliteStore) -> anyhow::Result<bool> {
    Ok(store.exists().await?)
}

fn append_poll(folder: &Path, line: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join(POLLS))?;
    writeln!(file, "{line}").context("failed to write a poll")
}

async fn open(folder: &Path) -> anyhow::Result<SqliteStore> {
    let file = folder.join(DATABASE);
    let path = file.to_str().with_context(|| format!("{} is no text that SQLite takes", file.display()))?;
    SqliteStore::new(path).await.with_context(|| format!("failed to open {}", file.display()))
}
