//! Makes a session's files of what NATS has: at the start of a session, and after an append whose end is not known.

use super::{
    JournalPosition, Overtaken, SessionJournal, UnreadableState,
    change::StoreChange,
    change_log::{AppendError, LogEntry},
};
use crate::session::store::{DATABASE, POLLS, copy_files, remove_files};
use anyhow::Context as _;
use std::{
    fs::{OpenOptions, rename},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::atomic::Ordering,
    time::Duration,
};
use whatsapp_rust::store::SqliteStore;

/// NATS may be away, or be starting.
const RESTORE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The changes that are left do not go back to the first.
const SNAPSHOT_IS_MISSING: &str =
    "the session's snapshot is missing in NATS: restore the object store session_snapshots from a backup";
/// The name of a database whose content went to NATS.
const MOVED: &str = "whatsapp.db.moved-to-nats";

impl SessionJournal {
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

    /// Makes the session's files as NATS has them, and shuts out the earlier holder. For a session of which NATS
    /// knows nothing see [`or_from`](Self::or_from).
    ///
    /// # Errors
    /// If NATS is away, or what is stored there cannot be read.
    pub async fn restore(&self) -> anyhow::Result<()> {
        let parts = &self.0;
        parts.log.ensure_stream().await?;
        let created = parts.log.stream_created().await?;
        let mut newest = parts.snapshot.lock().await;
        let mut position = parts.position.lock().await;
        remove_files(&parts.folder)?;
        let entries = parts.log.read(0).await?;
        let pointer = entries.iter().rev().find_map(|entry| match &entry.change {
            StoreChange::Snapshot { object, sequence } => Some((object.clone(), *sequence)),
            _ => None,
        });
        // A gateway that was killed before it stored the first snapshot may have announced itself.
        let says_nothing = entries.iter().all(|entry| matches!(entry.change, StoreChange::Taken));
        // The stream may have been lost while nobody held the session: its newest snapshot is what is left then.
        let pointer = match pointer {
            None if says_nothing => parts.snapshots.list().await?.pop().map(|object| (object, 0)),
            pointer => pointer,
        };
        let is_new = pointer.is_none() && says_nothing;
        let former = parts.former.as_deref().filter(|former| is_new && former.join(DATABASE).exists());
        if let Some(former) = former {
            copy_files(former, &parts.folder).context("failed to take over the keys of the folder")?;
        }
        parts.is_new.store(is_new && former.is_none(), Ordering::Release);
        // Without a snapshot the changes must go back to the first.
        let mut has_begun = pointer.is_some() || is_new;
        let mut after = pointer.as_ref().map_or(0, |(_, sequence)| *sequence);
        if let Some((object, _)) = &pointer
            && !parts.snapshots.unpack(object, &parts.folder).await?
        {
            return Err(UnreadableState(SNAPSHOT_IS_MISSING.to_owned()).into());
        }
        *newest = pointer.map(|(object, _)| object);
        let mut store = open(&parts.folder).await?;
        // What the earlier holder appends meanwhile is read, too, until this gateway's own message is the last.
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
                    StoreChange::Taken | StoreChange::Snapshot { .. } => {}
                    change => {
                        has_begun |= matches!(change, StoreChange::CreateDevice);
                        if !has_begun {
                            return Err(UnreadableState(SNAPSHOT_IS_MISSING.to_owned()).into());
                        }
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
        *position = JournalPosition { last: position.last, stream: created, ..JournalPosition::default() };
        drop((position, newest, store));
        parts.is_unsure.store(false, Ordering::Release);
        if let Some(former) = former {
            self.take_snapshot().await.context("failed to store the first snapshot")?;
            // They would be old by the time somebody finds them.
            rename(former.join(DATABASE), former.join(MOVED)).context("failed to put the old keys aside")?;
            tracing::info!(session.id = %parts.session, "the keys of the session are in NATS from now on");
        }
        Ok(())
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
                change => change.apply(store).await?,
            }
            last = last.max(sequence);
        }
        position.last = last;
        parts.is_unsure.store(false, Ordering::Release);
        Ok(())
    }
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
