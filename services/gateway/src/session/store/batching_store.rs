//! The client's store. It keeps decrypted messages in memory until they are published, and writes those that are not
//! published before the keys that have moved past them.
//!
//! The client stores each live message until its event is published, and deletes it then: two transactions for each
//! message, one after the other on SQLite's only connection, and both before WhatsApp has its acknowledgement. Most
//! messages are published within a millisecond, and need neither.
//!
//! The keys of a chat move on when a message is decrypted, and the client writes the keys of all chats at any time. If
//! the keys were on disk and the message were not, a crash would lose the message: when WhatsApp sends it again, the
//! client would take it for a repeat. So keys wait until every decrypted message is published or stored
//! ([`ClientTasks::settled`], [`UnpublishedMessages`]). While the keys on disk are older, a message that comes again is
//! decrypted again. No keys are written once the connection is given up, because something could not be stored or because
//! NATS did not take a message: the next connection decrypts again what arrived since the last keys.
//!
//! Writes that arrive during a transaction go into the next one together. A caller gets its answer after its write is done,
//! and no write waits for others to arrive.

use super::unpublished::{PendingKey, UnpublishedMessages};
use crate::session::{
    abort::ConnectionAbort,
    client_tasks::ClientTasks,
    journal::{PendingChange, SessionJournal, StoreChange},
    state::SessionSignal,
};
use bytes::Bytes;
use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};
use wacore::store::error::{Result, StoreError};
use whatsapp_rust::store::{PendingInboundKey, PendingInboundRow, ProtocolStore as _, SignalStore as _, SqliteStore};

/// As many messages as the client handles at the same time.
const TOGETHER: usize = 64;

/// A session's keys, for one connection. `delegated` has the methods that are not here.
pub struct BatchingStore {
    pub(super) store: Arc<SqliteStore>,
    asked: mpsc::Sender<WriteRequest>,
    messages: Arc<WriteProgress>,
    pub(super) unpublished: UnpublishedMessages,
    pub(super) tasks: ClientTasks,
    journal: Option<SessionJournal>,
}

/// How the writes of messages and keys went.
struct WriteProgress {
    one_failed: AtomicBool,
    breaker: ConnectionAbort,
}

struct WriteRequest {
    write: StoreWrite,
    written: oneshot::Sender<Result<()>>,
}

enum StoreWrite {
    /// Messages that keys are about to move past; none if nothing has to be written. It is answered when all earlier writes
    /// are done.
    Keep(Vec<(PendingKey, Bytes)>),
    Forget(PendingKey),
}

impl BatchingStore {
    #[must_use]
    pub fn new(
        store: Arc<SqliteStore>,
        breaker: ConnectionAbort,
        tasks: ClientTasks,
        journal: Option<SessionJournal>,
    ) -> Self {
        let (asked, asks) = mpsc::channel(TOGETHER);
        let messages = Arc::new(WriteProgress { one_failed: AtomicBool::new(false), breaker });
        // The task ends when the last user of this store is dropped.
        tokio::spawn(write_batches((Arc::clone(&store), journal.clone()), Arc::clone(&messages), asks));
        Self { store, asked, messages, unpublished: UnpublishedMessages::default(), tasks, journal }
    }

    /// Makes a change: in the journal first, if there is one, and then in the file.
    ///
    /// # Errors
    /// If one of them does not take it. The connection is given up if it was the journal.
    pub(super) async fn write<T>(
        &self,
        change: Option<StoreChange>,
        written: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some((journal, change)) = self.journal.as_ref().zip(change) else { return written.await };
        let turn = journal.append(change).await.inspect_err(|error| self.messages.record_failure(error))?;
        // Without this the connection would go on with a file that lacks a change of the journal.
        let written = written.await.inspect_err(|error| self.messages.record_failure(error))?;
        turn.finish();
        Ok(written)
    }

    /// The change, if there is a journal that needs it.
    pub(super) fn change(&self, make: impl FnOnce() -> StoreChange) -> Option<StoreChange> {
        self.journal.is_some().then(make)
    }

    /// Keeps messages until they are deleted: a live one in memory, those of a backlog, which come in one batch, on disk.
    /// The client writes the keys of a backlog next.
    pub(super) async fn write_pending(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let call = self.tasks.begin_store_call();
        #[cfg(feature = "simulator")]
        pause_before_keeping().await;
        if let [row] = rows {
            let key = PendingKey::new(row.chat, row.sender, row.id);
            self.unpublished.add(key, Bytes::copy_from_slice(row.message));
            call.message_is_kept();
            return Ok(());
        }
        let kept = || rows.iter().map(kept).collect();
        let change = self.change(|| StoreChange::Pending { published: Vec::new(), kept: kept() });
        let written = self.write(change, self.store.store_pending_inbound_batch(rows)).await;
        written.inspect(|()| call.message_is_kept()).inspect_err(|error| self.messages.record_failure(error))
    }

    pub(super) async fn delete_pending(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        match *keys {
            [PendingInboundKey { chat, sender, id }] => {
                let key = PendingKey::new(chat, sender, id);
                if self.unpublished.remove(&key) { self.submit(StoreWrite::Forget(key)).await } else { Ok(()) }
            }
            _ => {
                for key in keys {
                    self.unpublished.remove(&PendingKey::new(key.chat, key.sender, key.id));
                }
                let published = || keys.iter().map(|key| published(key.chat, key.sender, key.id)).collect();
                let change = self.change(|| StoreChange::Pending { published: published(), kept: Vec::new() });
                self.write(change, self.store.delete_pending_inbound_batch(keys)).await
            }
        }
    }

    /// The message, if it is not published. Until then a repeat of it is not acknowledged.
    pub(super) async fn find_pending(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let _call = self.tasks.begin_store_call();
        match self.unpublished.get(&PendingKey::new(chat, sender, id)) {
            Some(message) => Ok(Some(message.to_vec())),
            None => self.store.get_pending_inbound(chat, sender, id).await,
        }
    }

    /// Writes keys, after every message that they have moved past is published or written. The client decrypts nothing
    /// meanwhile.
    ///
    /// # Errors
    /// If something could not be written, or the connection is given up.
    pub(super) async fn write_keys(
        &self,
        change: impl FnOnce() -> StoreChange,
        written: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        self.tasks.settled().await;
        let messages = self.unpublished.begin_writing();
        let keys: Vec<PendingKey> = messages.iter().map(|(key, _)| key.clone()).collect();
        self.submit(StoreWrite::Keep(messages)).await?;
        for key in keys.into_iter().filter(|key| self.unpublished.get(key).is_none()) {
            // Published in the moment before it was written, so its deletion may have come too early. Nobody waits for this one.
            let (written, _) = oneshot::channel();
            let _ = self.asked.send(WriteRequest { write: StoreWrite::Forget(key), written }).await;
        }
        if self.messages.one_failed.load(Ordering::Acquire) {
            return Err(StoreError::Validation("something could not be kept, so no keys are".to_owned()));
        }
        // Last: a task that was ended meanwhile may have held a message that nobody keeps.
        if self.messages.breaker.token().is_cancelled() {
            return Err(StoreError::Validation("the connection is given up, and its keys with it".to_owned()));
        }
        // Published messages are never written, so keys that fall behind for long are the first sign of a full disk.
        let change = self.change(change);
        self.write(change, written).await.inspect_err(|error| self.messages.record_failure(error))
    }

    /// Waits until every write is done. The client's tasks have ended before.
    pub async fn finish(&self) {
        // An error means that nobody writes any more.
        let _ = self.submit(StoreWrite::Keep(Vec::new())).await;
        // SQLite has one connection here, which does one thing after the other: this read is behind every write.
        let _ = self.store.get_max_prekey_id().await;
    }

    async fn submit(&self, write: StoreWrite) -> Result<()> {
        let (written, answer) = oneshot::channel();
        self.asked
            .send(WriteRequest { write, written })
            .await
            .map_err(|error| StoreError::Database(Box::new(error)))?;
        answer.await.map_err(|error| StoreError::Database(Box::new(error)))?
    }
}

/// Simulates the time that a busy machine may take between decrypting a message and handing it over.
#[cfg(feature = "simulator")]
async fn pause_before_keeping() {
    const VARIABLE: &str = "SIMULATED_PAUSE_BEFORE_KEEPING";
    static PAUSE: std::sync::LazyLock<Option<std::time::Duration>> =
        std::sync::LazyLock::new(|| humantime::parse_duration(&std::env::var(VARIABLE).ok()?).ok());
    if let Some(pause) = *PAUSE {
        tokio::time::sleep(pause).await;
    }
}

impl WriteProgress {
    /// The client itself ignores the error and goes on.
    fn record_failure(&self, error: &StoreError) {
        self.one_failed.store(true, Ordering::Release);
        let why = error_chain(error);
        self.breaker.abort(SessionSignal::NotKept(why.clone()), &format!("a message cannot be kept: {why}"));
    }
}

async fn write_batches(
    (store, journal): (Arc<SqliteStore>, Option<SessionJournal>),
    messages: Arc<WriteProgress>,
    mut asks: mpsc::Receiver<WriteRequest>,
) {
    let mut group = Vec::with_capacity(TOGETHER);
    while asks.recv_many(&mut group, TOGETHER).await > 0 {
        let WriteGroup { kept, forgotten, callers } = WriteGroup::of(&mut group);
        let done = write_group((&store, journal.as_ref()), &kept, &forgotten).await;
        // Recorded before any caller is answered.
        let done = done.inspect_err(|error| messages.record_failure(error));
        send_results(done, callers.into_iter());
    }
}

/// What is written in one transaction.
#[derive(Default)]
struct WriteGroup {
    kept: Vec<(PendingKey, Bytes)>,
    forgotten: Vec<PendingKey>,
    callers: Vec<oneshot::Sender<Result<()>>>,
}

impl WriteGroup {
    /// A message that was published before it was written is not written.
    fn of(requests: &mut Vec<WriteRequest>) -> Self {
        let mut group = Self::default();
        for WriteRequest { write, written } in requests.drain(..) {
            match write {
                StoreWrite::Keep(messages) => group.kept.extend(messages),
                StoreWrite::Forget(key) => match group.kept.iter().position(|(kept, _)| *kept == key) {
                    Some(place) => drop(group.kept.swap_remove(place)),
                    None => group.forgotten.push(key),
                },
            }
            group.callers.push(written);
        }
        group
    }
}

async fn write_group(
    (store, journal): (&SqliteStore, Option<&SessionJournal>),
    kept: &[(PendingKey, Bytes)],
    forgotten: &[PendingKey],
) -> Result<()> {
    if kept.is_empty() && forgotten.is_empty() {
        return Ok(());
    }
    let turn = match journal {
        Some(journal) => {
            let change = StoreChange::Pending {
                published: forgotten.iter().map(|key| published(&key.chat, &key.sender, &key.id)).collect(),
                kept: kept.iter().map(|(key, message)| key.as_change(message)).collect(),
            };
            Some(journal.append(change).await?)
        }
        None => None,
    };
    // Deletions first: if a message comes again at this moment, its new copy stays.
    if !forgotten.is_empty() {
        let keys: Vec<_> = forgotten.iter().map(PendingKey::as_key).collect();
        store.delete_pending_inbound_batch(&keys).await?;
    }
    if !kept.is_empty() {
        let rows: Vec<_> = kept.iter().map(|(key, message)| key.as_row(message)).collect();
        store.store_pending_inbound_batch(&rows).await?;
    }
    if let Some(turn) = turn {
        turn.finish();
    }
    Ok(())
}

/// The error with its causes. The error alone names only its kind.
fn error_chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Sends the result of a transaction to all its callers. A caller that no longer waits needs none.
fn send_results(done: Result<()>, all: impl Iterator<Item = oneshot::Sender<Result<()>>>) {
    let done = done.map_err(Arc::new);
    for written in all {
        let _ = written.send(done.clone().map_err(|error| StoreError::Database(Box::new(error))));
    }
}

impl PendingKey {
    fn as_change(&self, message: &Bytes) -> PendingChange {
        PendingChange { message: message.clone(), ..published(&self.chat, &self.sender, &self.id) }
    }
}

fn kept(row: &PendingInboundRow<'_>) -> PendingChange {
    PendingChange { message: Bytes::copy_from_slice(row.message), ..published(row.chat, row.sender, row.id) }
}

fn published(chat: &str, sender: &str, id: &str) -> PendingChange {
    PendingChange { chat: chat.to_owned(), sender: sender.to_owned(), id: id.to_owned(), message: Bytes::new() }
}

#[cfg(test)]
mod tests;
