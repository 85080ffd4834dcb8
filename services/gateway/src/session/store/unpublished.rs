//! The messages of one connection that are decrypted and not published yet. They are in memory until keys are about to be
//! written that have moved past them; most are published before that, and never reach the disk.

use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use whatsapp_rust::store::{PendingInboundKey, PendingInboundRow};

/// The key of a message. WhatsApp's message ids are unique for their sender only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PendingKey {
    pub chat: String,
    pub sender: String,
    pub id: String,
}

impl PendingKey {
    pub fn new(chat: &str, sender: &str, id: &str) -> Self {
        Self { chat: chat.to_owned(), sender: sender.to_owned(), id: id.to_owned() }
    }

    pub fn as_key(&self) -> PendingInboundKey<'_> {
        PendingInboundKey { chat: &self.chat, sender: &self.sender, id: &self.id }
    }

    pub fn as_row<'a>(&'a self, message: &'a [u8]) -> PendingInboundRow<'a> {
        PendingInboundRow { chat: &self.chat, sender: &self.sender, id: &self.id, message }
    }
}

#[derive(Debug)]
struct UnpublishedMessage {
    message: Bytes,
    /// It is on disk, or on its way there.
    is_written: bool,
}

#[derive(Debug, Default)]
pub struct UnpublishedMessages(Mutex<HashMap<PendingKey, UnpublishedMessage>>);

impl UnpublishedMessages {
    /// A message was decrypted.
    pub fn add(&self, key: PendingKey, message: Bytes) {
        self.lock().insert(key, UnpublishedMessage { message, is_written: false });
    }

    /// A message was published. Whether it may be on disk, where it has to be deleted.
    pub fn remove(&self, key: &PendingKey) -> bool {
        self.lock().remove(key).is_none_or(|message| message.is_written)
    }

    pub fn get(&self, key: &PendingKey) -> Option<Bytes> {
        self.lock().get(key).map(|message| message.message.clone())
    }

    /// The messages that are to be written before keys are. They count as written now: who publishes one meanwhile has it
    /// deleted behind the write.
    pub fn begin_writing(&self) -> Vec<(PendingKey, Bytes)> {
        let mut messages = self.lock();
        let unwritten = messages.iter_mut().filter(|(_, message)| !message.is_written);
        unwritten
            .map(|(key, message)| {
                message.is_written = true;
                (key.clone(), message.message.clone())
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PendingKey, UnpublishedMessage>> {
        // Each change is one call, so a panic elsewhere left the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_before_keys_are_written_never_reaches_the_disk() {
        let unpublished = UnpublishedMessages::default();
        let [first, second] = ["1", "2"].map(|id| PendingKey::new("chat", "sender", id));
        unpublished.add(first.clone(), Bytes::from_static(b"one"));
        unpublished.add(second.clone(), Bytes::from_static(b"two"));
        assert!(!unpublished.remove(&first), "it is in memory only");
        assert_eq!(unpublished.begin_writing(), [(second.clone(), Bytes::from_static(b"two"))]);
        assert!(unpublished.begin_writing().is_empty(), "once is enough");
        assert_eq!(unpublished.get(&second).as_deref(), Some(b"two".as_slice()), "it is still not published");
        assert!(unpublished.remove(&second), "it may be on disk");
        assert_eq!(unpublished.get(&second), None);
        assert!(unpublished.remove(&first), "of an earlier connection, as far as this one knows");
    }
}
