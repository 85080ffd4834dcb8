//! A session's state in NATS, so that another gateway goes on with it when this one is gone.
//!
//! The client works on its SQLite file, which is scratch. Each change is appended to the stream `SESSION_CHANGES` first, as
//! one message under the session's subject, and then written to the file ([`StoreChange`]). Now and then a snapshot of the
//! file goes into the object store `session_snapshots`, and the changes before it are removed. A gateway that takes a
//! session over loads the snapshot and the changes behind it ([`SessionJournal::restore`]).
//!
//! An append names the message that it follows. A gateway that lost its session to another one is refused by NATS, writes
//! nothing more, and ends the session ([`Overtaken`]). Everything is sealed with the operator's `SESSION_KEY`.
//!
//! `change` is what can change, `change_log` the stream, `snapshot` the object store, and `restore` makes files of them.

mod change;
mod change_log;
mod restore;
mod snapshot;

pub use change::{PendingChange, StoreChange};

use crate::session::store::copy_files;
use change_log::{AppendError, ChangeLog, Stored};
use kurir_chassis::{broker::Broker, key_ring::KeyRing, shutdown::CancellationToken};
use kurir_contract::session::SessionId;
use snapshot::SnapshotStore;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Mutex, MutexGuard, Notify};
use wacore::store::error::StoreError;

/// A snapshot is due after so many changes,
const CHANGES_UNTIL_SNAPSHOT: u64 = 1_000;
/// or so many bytes of them: reading them back must not make a takeover long.
const BYTES_UNTIL_SNAPSHOT: u64 = 4 << 20;
/// A snapshot that failed is tried again.
const SNAPSHOT_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How often it is looked whether the snapshot is there still.
const LOOK_FOR_SNAPSHOT_EVERY: Duration = Duration::from_secs(30);

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
    /// Whether the file may be behind the log: a change is being made, or was given up before its end.
    is_unsure: AtomicBool,
    is_overtaken: AtomicBool,
    /// Whether NATS knew nothing of the session when it was restored.
    is_new: AtomicBool,
    /// The name of the newest snapshot. Held while one is taken.
    snapshot: Mutex<Option<String>>,
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

/// The turn of a change: it is in the log, and is to be written to the file. Until [`finish`](Self::finish) the file counts as
/// behind the log, also if the writer is cancelled, as the client's tasks are when a connection ends.
#[must_use]
pub struct JournalTurn<'a> {
    parts: &'a JournalParts,
    position: MutexGuard<'a, JournalPosition>,
    stored: Stored,
}

impl SessionJournal {
    /// `folder` is the session's own, whose files are scratch. A session of which NATS knows nothing begins with the keys of
    /// `former`, if it has some: those of the time before `SESSION_STORE=nats`. An append waits for NATS as long as `wait`.
    #[must_use]
    pub fn new(
        broker: &Broker,
        keys: &KeyRing,
        session: &SessionId,
        (folder, former): (&Path, Option<&Path>),
        wait: Duration,
    ) -> Self {
        Self(Arc::new(JournalParts {
            session: session.clone(),
            folder: folder.to_owned(),
            former: former.map(Path::to_owned),
            log: ChangeLog::new(broker.clone(), keys.clone(), session.clone()),
            snapshots: SnapshotStore::new(broker.clone(), keys.clone(), session.clone()),
            notes: std::sync::Mutex::default(),
            position: Mutex::default(),
            is_unsure: AtomicBool::new(false),
            is_overtaken: AtomicBool::new(false),
            is_new: AtomicBool::new(false),
            snapshot: Mutex::default(),
            snapshot_due: Notify::new(),
            wait,
        }))
    }

    /// Whether NATS knew nothing of the session when it was restored.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.0.is_new.load(Ordering::Acquire)
    }

    /// Appends a change soon, without waiting for it: in the worst case a kill at this moment loses it.
    pub fn note(&self, change: StoreChange) {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }

    /// Appends a change. The caller writes it to the file and finishes the turn then.
    ///
    /// # Errors
    /// If NATS does not take it, or another gateway holds the session.
    pub async fn append(&self, change: StoreChange) -> Result<JournalTurn<'_>, StoreError> {
        let parts = &self.0;
        let mut position = parts.position.lock().await;
        if parts.is_overtaken.load(Ordering::Acquire) || parts.is_unsure.load(Ordering::Acquire) {
            return Err(StoreError::Validation("the session's state in NATS goes on without this change".to_owned()));
        }
        parts.is_unsure.store(true, Ordering::Release);
        let notes = std::mem::take(&mut *parts.notes.lock().unwrap_or_else(PoisonError::into_inner));
        for note in notes {
            // Its file has it already.
            let stored = self.append_to_log(&note, position.last).await?;
            position.count(&stored);
        }
        let stored = self.append_to_log(&change, position.last).await?;
        Ok(JournalTurn { parts, position, stored })
    }

    async fn append_to_log(&self, change: &StoreChange, last: u64) -> Result<Stored, StoreError> {
        self.0.log.append(change, last, self.deadline()).await.map_err(|error| match error {
            AppendError::Overtaken => {
                self.0.is_overtaken.store(true, Ordering::Release);
                StoreError::Database(Box::new(Overtaken))
            }
            AppendError::Failed(error) => StoreError::Database(error.into()),
        })
    }

    /// Notes that the files were wiped, after a logout.
    ///
    /// # Errors
    /// If NATS does not take it.
    pub async fn note_wiped(&self) -> anyhow::Result<()> {
        self.append(StoreChange::Wiped).await?.finish();
        Ok(())
    }

    /// Stores the files as they are, and removes the changes before them.
    ///
    /// # Errors
    /// If NATS or the disk fails.
    pub async fn take_snapshot(&self) -> anyhow::Result<()> {
        let parts = &self.0;
        let mut newest = parts.snapshot.lock().await;
        let copy = tempfile::tempdir_in(&parts.folder)?;
        let sequence = {
            let mut position = parts.position.lock().await;
            anyhow::ensure!(!parts.is_overtaken.load(Ordering::Acquire), Overtaken);
            anyhow::ensure!(!parts.is_unsure.load(Ordering::Acquire), "the last change is not settled yet");
            let (from, to) = (parts.folder.clone(), copy.path().to_owned());
            tokio::task::spawn_blocking(move || copy_files(&from, &to)).await??;
            (position.changes, position.bytes) = (0, 0);
            position.last
        };
        let object = parts.snapshots.put(copy.path()).await?;
        // A gateway that has lost the session is refused here, and what it stored counts for nothing.
        self.append(StoreChange::Snapshot { object: object.clone(), sequence }).await?.finish();
        *newest = Some(object.clone());
        parts.log.remove_until(sequence).await?;
        parts.snapshots.remove_all_but(Some(&object)).await
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
        let newest = self.0.snapshot.lock().await;
        match newest.as_deref() {
            Some(newest) => matches!(self.0.snapshots.exists(newest).await, Ok(false)),
            None => false,
        }
    }

    /// Removes everything that NATS has of the session.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn remove(broker: &Broker, keys: &KeyRing, session: &SessionId) -> anyhow::Result<()> {
        ChangeLog::new(broker.clone(), keys.clone(), session.clone()).remove_all().await?;
        SnapshotStore::new(broker.clone(), keys.clone(), session.clone()).remove_all_but(None).await
    }

    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.0.wait
    }
}

impl JournalTurn<'_> {
    /// The change is in the file, too.
    pub fn finish(mut self) {
        self.position.count(&self.stored);
        self.parts.is_unsure.store(false, Ordering::Release);
        let JournalPosition { changes, bytes, .. } = *self.position;
        if changes >= CHANGES_UNTIL_SNAPSHOT || bytes >= BYTES_UNTIL_SNAPSHOT {
            self.parts.snapshot_due.notify_one();
        }
    }
}

impl JournalPosition {
    fn count(&mut self, stored: &Stored) {
        self.last = stored.sequence;
        self.changes += 1;
        self.bytes += stored.bytes;
    }
}
