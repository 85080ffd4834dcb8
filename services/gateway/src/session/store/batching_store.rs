//! The client's store, in which messages that wait at the same time are written in one transaction, and before the keys
//! that have moved past them.
//!
//! The client keeps each live message until its event is stored, and forgets it then: two transactions for each, one
//! after the other on SQLite's only connection, whatever chat it is of. Here those that come while one is written go
//! into the next together. Nobody is answered before what he asked for is written, and nobody waits for company.
//!
//! The keys of a chat move on when a message is decrypted, and the client writes those of all chats whenever it likes.
//! Were they on disk and the message not, a crash would lose it: sent again, it would be taken for one that was handled.
//! So keys wait until each message that is decrypted is kept ([`ClientTasks::settled`]), and none are written once the
//! connection is given up, be it for a message that could not be kept or for NATS: the next connection decrypts again what
//! came since the last keys.

use crate::session::{abort::ConnectionAbort, client_tasks::ClientTasks, state::SessionSignal};
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

/// A session's keys, for one life of the client. What is not here is in `delegated`.
pub struct BatchingStore {
    pub(super) store: Arc<SqliteStore>,
    asked: mpsc::Sender<WriteRequest>,
    messages: Arc<WriteProgress>,
    pub(super) tasks: ClientTasks,
}

/// What became of those that were to be kept.
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
    /// Nothing: done when all before is.
    Barrier,
}

/// Of a message; WhatsApp's ids are its sender's own.
struct PendingKey {
    chat: String,
    sender: String,
    id: String,
}

impl BatchingStore {
    #[must_use]
    pub fn new(store: Arc<SqliteStore>, breaker: ConnectionAbort, tasks: ClientTasks) -> Self {
        let (asked, asks) = mpsc::channel(TOGETHER);
        let messages = Arc::new(WriteProgress { one_is_not_kept: AtomicBool::new(false), breaker });
        // It ends with the last of this store's users.
        tokio::spawn(write_batches(Arc::clone(&store), Arc::clone(&messages), asks));
        Self { store, asked, messages, tasks }
    }

    /// Messages are kept until they are forgotten. A backlog's come together already.
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
            rows => self.store.store_pending_inbound_batch(rows).await,
        };
        kept.inspect(|()| call.message_is_kept()).inspect_err(|error| self.messages.record_failure(error))
    }

    pub(super) async fn delete_pending(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        match *keys {
            [PendingInboundKey { chat, sender, id }] => {
                let key = PendingKey { chat: chat.to_owned(), sender: sender.to_owned(), id: id.to_owned() };
                self.submit(StoreWrite::Forget(key)).await
            }
            _ => self.store.delete_pending_inbound_batch(keys).await,
        }
    }

    /// Waits until every message that has been decrypted is kept. The client, which asks before it writes keys, decrypts
    /// none meanwhile.
    ///
    /// # Errors
    /// If a message could not be kept, or the connection is given up.
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

    /// Waits until everything that was asked for is written; the client's tasks have ended.
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

/// What a busy machine may put between decrypting a message and handing it over; a test makes it long.
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
    /// The client is silent about it, and goes on.
    fn record_failure(&self, error: &StoreError) {
        self.one_is_not_kept.store(true, Ordering::Release);
        let why = error_chain(error);
        self.breaker.abort(SessionSignal::NotKept(why.clone()), &format!("a message cannot be kept: {why}"));
    }
}

async fn write_batches(store: Arc<SqliteStore>, messages: Arc<WriteProgress>, mut asks: mpsc::Receiver<WriteRequest>) {
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
        // First what is forgotten: if a message comes again right then, its new copy stays.
        if !forgotten.is_empty() {
            let keys: Vec<_> = forgotten.iter().map(|(key, _)| key.as_key()).collect();
            let done = store.delete_pending_inbound_batch(&keys).await;
            send_results(done, forgotten.into_iter().map(|(_, written)| written));
        }
        if !kept.is_empty() {
            let rows: Vec<_> = kept.iter().map(|(key, message, _)| key.as_row(message)).collect();
            // Said before a barrier behind it is passed.
            let done = store.store_pending_inbound_batch(&rows).await;
            let done = done.inspect_err(|error| messages.record_failure(error));
            send_results(done, kept.into_iter().map(|(.., written)| written));
        }
        send_results(Ok(()), barriers.into_iter());
    }
}

/// With its causes: alone it names only the kind.
fn error_chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// To all of a transaction what became of it. Who does not wait any more gave up, and needs none.
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

    fn as_row<'a>(&'a self, message: &'a [u8]) -> PendingInboundRow<'a> {
        PendingInboundRow { chat: &self.chat, sender: &self.sender, id: &self.id, message }
    }
}

#[cfg(test)]
mod tests;
