//! Knows with whom the session has a chat: the people who wrote, and those who were written to.
//!
//! A message costs one lookup in a set. Only the first message of a chat is queued and stored in NATS.

use crate::store_watch::StoreLossListener;
use bytes::Bytes;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, BucketError},
    shutdown::CancellationToken,
};
use kurir_contract::{address::ChatJid, session::SessionId, subject};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

/// The bucket of chats. A key is the session and the chat's hash.
pub(crate) const BUCKET: &str = "known_chats";
/// A chat that was silent for this long counts as new again.
pub(crate) const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Chats in memory, a megabyte or two. When the set is full it is cleared, which costs one question for each chat.
const IN_MEMORY: usize = 20_000;
/// Chats that wait to be stored. A chat that finds no room is stored at its next message.
const WAITING: usize = 4096;
/// The pause between two tries to store a chat.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub struct KnownChats {
    session: SessionId,
    bucket: Bucket,
    seen: Arc<Mutex<HashSet<ChatJid>>>,
    heard: mpsc::Sender<ChatJid>,
}

/// Stores the queued chats.
pub struct KnownChatWriter(mpsc::Receiver<ChatJid>);

#[must_use]
pub fn known_chat_channel(session: SessionId, broker: &Broker) -> (KnownChats, KnownChatWriter) {
    let (heard, waiting) = mpsc::channel(WAITING);
    let bucket = Bucket::expiring(broker.clone(), BUCKET, KNOWN_FOR);
    (KnownChats { session, bucket, seen: Arc::default(), heard }, KnownChatWriter(waiting))
}

impl KnownChats {
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// Records that there is a chat. Never waits.
    pub fn record(&self, chat: &ChatJid) {
        if chat.is_group() || self.cached().contains(chat) {
            return;
        }
        if self.heard.try_send(chat.clone()).is_ok() {
            self.cache(chat);
        }
    }

    /// # Errors
    /// If NATS did not answer.
    pub async fn is_known(&self, chat: &ChatJid) -> Result<bool, BucketError> {
        if self.cached().contains(chat) {
            return Ok(true);
        }
        let known = self.bucket.get(&self.chat_key(chat)).await?.is_some();
        if known {
            self.cache(chat);
        }
        Ok(known)
    }

    /// The bucket, which counts the new chats of a day, too.
    #[must_use]
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
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
    /// Stores the queued chats until the shutdown. When the bucket is lost, each chat is stored again at its next message.
    ///
    /// # Errors
    /// Never: the writer waits for a broker that is away.
    pub async fn run(
        mut self,
        known: KnownChats,
        mut losses: StoreLossListener<1>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let all = async {
            while let Some(chat) = self.0.recv().await {
                let key = known.chat_key(&chat);
                while let Err(error) = known.bucket.put(&key, Bytes::new()).await {
                    tracing::debug!(chat = chat.redacted(), "a chat is not stored yet: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let forget = async {
            loop {
                losses.next_loss().await;
                known.cached().clear();
            }
        };
        tokio::select! {
            () = all => {}
            () = forget => {}
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }
}
