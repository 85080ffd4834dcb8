//! The client's store, which writes messages that arrive at the same time in one transaction, and writes them before
//! the keys that have moved past them.
//!
//! The client stores each live message until its event is published, and deletes it then: two transactions for each
//! message, one after the other on SQLite's only connection, for all chats. Here the writes that arrive during a
//! transaction go into the next one together. A caller gets its answer after its write is done, and no write waits for
//! others to arrive.
//!
//! The keys of a chat move on when a message is decrypted, and the client writes the keys of all chats at any time. If
//! the keys were on disk and the message were not, a crash would lose the message: when WhatsApp sends it again, the
//! client would take it for a repeat. So keys wait until every decrypted message is stored ([`ClientTasks::settled`]).
//! No keys are written once the connection is given up, because a message could not be stored or because NATS did not
//! take it: the next connection decrypts again what arrived since the last keys.

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
    pub(super) tasks: ClientTasks,
    journal: Option<SessionJournal>,
}

/// How the writes of messages went.
struct WriteProgress {
    one_is_not_kept: AtomicBool,
    breaker: ConnectionAbort,
}

struct WriteRequest {
    write: StoreWrite,
    written: oneshot::Sender<Result<()>>,
}

enum StoreWrite {
    Keep {
        key: PendingKey,
        message: Vec<u8>,
    },
    Forget(PendingKey),
    /// Writes nothing. Answered when all earlier writes are done.
    Barrier,
}

/// The key of a message. WhatsApp's message ids are unique for their sender only.
struct PendingKey {
    chat: String,
    sender: String,
    id: String,
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
        let messages = Arc::new(WriteProgress { one_is_not_kept: AtomicBool::new(false), breaker });
        // The task ends when the last user of this store is dropped.
        tokio::spawn(write_batches((Arc::clone(&store), journal.clone()), Arc::clone(&messages), asks));
        Self { store, asked, messages, tasks, journal }
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

    /// Writes messages, which stay until they are deleted. The messages of a backlog come in one batch already.
    pub(super) async fn write_pending(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let call = self.tasks.begin_store_call();
        #[cfg(feature = "simulator")]
        pause_before_keeping().await;
        let kept = match rows {
            [row] => {
                let key =
                    PendingKey { chat: row.chat.to_owned(), sender: row.sender.to_owned(), id: row.id.to_owned() };
                self.submit(StoreWrite::Keep { key, message: row.message.to_owned() }).await
            }
            rows => {
                let kept = || rows.iter().map(kept).collect();
                let change = self.change(|| StoreChange::Pending { published: Vec::new(), kept: kept() });
                self.write(change, self.store.store_pending_inbound_batch(rows)).await
            }
        };
        kept.inspect(|()| call.message_is_kept()).inspect_err(|error| self.messages.record_failure(error))
    }

    pub(super) async fn delete_pending(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        match *keys {
            [PendingInboundKey { chat, sender, id }] => {
                let key = PendingKey { chat: chat.to_owned(), sender: sender.to_owned(), id: id.to_owned() };
                self.submit(StoreWrite::Forget(key)).await
            }
            _ => {
                let published = || keys.iter().map(|key| published(key.chat, key.sender, key.id)).collect();
                let change = self.change(|| StoreChange::Pending { published: published(), kept: Vec::new() });
                self.write(change, self.store.delete_pending_inbound_batch(keys)).await
            }
        }
    }

    /// Waits until every decrypted message is written. The client asks before it writes keys and decrypts nothing
    /// meanwhile.
    ///
    /// # Errors
    /// If a message could not be written, or the connection is given up.
    pub(super) async fn flush_pending(&self) -> Result<()> {
        self.tasks.settled().await;
        self.submit(StoreWrite::Barrier).await?;
        if self.messages.one_is_not_kept.load(Ordering::Acquire) {
            return Err(StoreError::Validation("a message could not be kept, so its chat's keys are not".to_owned()));
        }
        // Last: a task that was ended meanwhile may have held a message that nobody keeps.
        if self.messages.breaker.token().is_cancelled() {
            return Err(StoreError::Validation("the connection is given up, and its keys with it".to_owned()));
        }
        Ok(())
    }

    /// Waits until every write is done. The client's tasks have ended before.
    pub async fn finish(&self) {
        // An error means that nobody writes any more.
        let _ = self.submit(StoreWrite::Barrier).await;
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
        self.one_is_not_kept.store(true, Ordering::Release);
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
        let (mut kept, mut forgotten, mut barriers) = (Vec::new(), Vec::new(), Vec::new());
        for WriteRequest { write, written } in group.drain(..) {
            match write {
                StoreWrite::Keep { key, message } => kept.push((key, message, written)),
                StoreWrite::Forget(key) => forgotten.push((key, written)),
                StoreWrite::Barrier => barriers.push(written),
            }
        }
        let turn = match &journal {
            Some(journal) if !(kept.is_empty() && forgotten.is_empty()) => {
                let change = StoreChange::Pending {
                    published: forgotten.iter().map(|(key, _)| published(&key.chat, &key.sender, &key.id)).collect(),
                    kept: kept.iter().map(|(key, message, _)| key.as_change(message)).collect(),
                };
                Some(journal.append(change).await)
            }
            _ => None,
        };
        let turn = match turn.transpose() {
            Ok(turn) => turn,
            Err(error) => {
                messages.record_failure(&error);
                let all = forgotten.into_iter().map(|(_, written)| written);
                send_results(Err(error), all.chain(kept.into_iter().map(|(.., written)| written)));
                send_results(Ok(()), barriers.into_iter());
                continue;
            }
        };
        // Deletions first: if a message comes again at this moment, its new copy stays.
        let mut is_written = true;
        if !forgotten.is_empty() {
            let keys: Vec<_> = forgotten.iter().map(|(key, _)| key.as_key()).collect();
            let done = store.delete_pending_inbound_batch(&keys).await;
            is_written &= done.is_ok();
            send_results(done, forgotten.into_iter().map(|(_, written)| written));
        }
        if !kept.is_empty() {
            let rows: Vec<_> = kept.iter().map(|(key, message, _)| key.as_row(message)).collect();
            // Recorded before a later barrier is answered.
            let done = store.store_pending_inbound_batch(&rows).await;
            let done = done.inspect_err(|error| messages.record_failure(error));
            is_written &= done.is_ok();
            send_results(done, kept.into_iter().map(|(.., written)| written));
        }
        if let Some(turn) = turn.filter(|_| is_written) {
            turn.finish();
        }
        send_results(Ok(()), barriers.into_iter());
    }
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
    fn as_key(&self) -> PendingInboundKey<'_> {
        PendingInboundKey { chat: &self.chat, sender: &self.sender, id: &self.id }
    }

    fn as_change(&self, message: &[u8]) -> PendingChange {
        kept(&self.as_row(message))
    }

    fn as_row<'a>(&'a self, message: &'a [u8]) -> PendingInboundRow<'a> {
        PendingInboundRow { chat: &self.chat, sender: &self.sender, id: &self.id, message }
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
