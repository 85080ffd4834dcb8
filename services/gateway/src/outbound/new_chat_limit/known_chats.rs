//! The people that a session has a chat with: who wrote, or was written to.
//!
//! A message that comes costs one look into a set; only the first of a chat goes into a queue, and from there to NATS.

use anyhow::Context as _;
use async_nats::jetstream::kv::Store;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::{address::ChatJid, session::SessionId, subject};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

/// The bucket of chats, each under its session and its hash.
const BUCKET: &str = "known_chats";
/// Whoever was not heard of for so long is new again.
const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Chats in memory, a megabyte or two; when it is full it begins anew, which costs one question for each.
const IN_MEMORY: usize = 20_000;
/// Chats that wait to be stored; one beyond it is stored at its next message.
const WAITING: usize = 4096;
/// Between two tries to store one.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub struct KnownChats {
    session: SessionId,
    seen: Arc<Mutex<HashSet<ChatJid>>>,
    heard: mpsc::Sender<ChatJid>,
}

/// Those that are to be stored.
pub struct KnownChatWriter(mpsc::Receiver<ChatJid>);

#[must_use]
pub fn known_chat_channel(session: SessionId) -> (KnownChats, KnownChatWriter) {
    let (heard, waiting) = mpsc::channel(WAITING);
    (KnownChats { session, seen: Arc::default(), heard }, KnownChatWriter(waiting))
}

impl KnownChats {
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// There is a chat. Never waits.
    pub fn record(&self, chat: &ChatJid) {
        if chat.is_group() || self.cached().contains(chat) {
            return;
        }
        if self.heard.try_send(chat.clone()).is_ok() {
            self.cache(chat);
        }
    }

    /// # Errors
    /// If NATS did not say.
    pub async fn is_known(&self, broker: &Broker, chat: &ChatJid) -> anyhow::Result<bool> {
        if self.cached().contains(chat) {
            return Ok(true);
        }
        let bucket = self.open_bucket(broker).await?;
        let known = bucket.get(self.chat_key(chat)).await.context("failed to look up a chat")?.is_some();
        if known {
            self.cache(chat);
        }
        Ok(known)
    }

    pub(super) async fn open_bucket(&self, broker: &Broker) -> anyhow::Result<Store> {
        broker.expiring_bucket(BUCKET, KNOWN_FOR).await
    }

    fn chat_key(&self, chat: &ChatJid) -> String {
        subject::known_chat(&self.session, chat)
    }

    fn cache(&self, chat: &ChatJid) {
        let mut seen = self.cached();
        if seen.len() >= IN_MEMORY {
            seen.clear();
        }
        seen.insert(chat.clone());
    }

    fn cached(&self) -> MutexGuard<'_, HashSet<ChatJid>> {
        // Each change is one call, so a panic elsewhere left the set whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownChatWriter {
    /// Stores them, until the shutdown.
    ///
    /// # Errors
    /// None: a broker that is away is waited for.
    pub async fn run(mut self, known: KnownChats, broker: Broker, shutdown: CancellationToken) -> anyhow::Result<()> {
        let all = async {
            while let Some(chat) = self.0.recv().await {
                let key = known.chat_key(&chat);
                while let Err(error) = store_chat(&known, &broker, &key).await {
                    tracing::debug!(chat = chat.redacted(), "a chat is not stored yet: {error:#}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        tokio::select! {
            () = all => {}
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }
}

async fn store_chat(known: &KnownChats, broker: &Broker, key: &str) -> anyhow::Result<()> {
    known.open_bucket(broker).await?.put(key, "".into()).await?;
    Ok(())
}
