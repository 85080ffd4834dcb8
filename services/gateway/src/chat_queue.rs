//! Keeps the order of each chat: its messages go one after the other, in and out, and different chats go at the same
//! time. The sends of one idempotency key go one after the other in the same way.

use futures::FutureExt as _;
use kurir_contract::address::ChatJid;
use std::{collections::HashMap, hash::Hash, pin::Pin, sync::Arc};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The chats, or other keys, for which something is under way.
pub struct ChatQueue<K = ChatJid>(HashMap<K, Arc<Mutex<()>>>);

impl<K> Default for ChatQueue<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// A place in the queue of one chat.
pub enum ChatTurn {
    Now(OwnedMutexGuard<()>),
    Later(Pin<Box<dyn Future<Output = OwnedMutexGuard<()>> + Send>>),
}

/// When there are this many chats, those without anything under way are removed.
const CHATS: usize = 1024;

impl<K: Clone + Eq + Hash> ChatQueue<K> {
    /// Takes a place in the queue of a chat, in the order of the calls.
    pub fn join(&mut self, chat: &K) -> ChatTurn {
        if self.0.len() >= CHATS {
            self.0.retain(|_, chat| Arc::strong_count(chat) > 1);
        }
        let chat = Arc::clone(self.0.entry(chat.clone()).or_default());
        let mut turn: Pin<Box<dyn Future<Output = OwnedMutexGuard<()>> + Send>> = Box::pin(chat.lock_owned());
        // The lock is fair, and the first poll joins its queue.
        match (&mut turn).now_or_never() {
            Some(turn) => ChatTurn::Now(turn),
            None => ChatTurn::Later(turn),
        }
    }
}

impl ChatTurn {
    /// Waits for the turn, which lasts until the guard is dropped.
    pub async fn wait(self) -> OwnedMutexGuard<()> {
        match self {
            Self::Now(turn) => turn,
            Self::Later(turn) => turn.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_chat_is_served_in_order_and_another_at_once() {
        let (one, other) = (ChatJid::from_whatsapp("1@g.us"), ChatJid::from_whatsapp("2@g.us"));
        let mut turns = ChatQueue::<ChatJid>::default();
        let first = turns.join(&one);
        let second = turns.join(&one);
        let third = turns.join(&one);
        assert!(matches!(turns.join(&other), ChatTurn::Now(_)));
        assert!(matches!(second, ChatTurn::Later(_)));
        let (order, mut seen) = tokio::sync::mpsc::unbounded_channel();
        // The turns are polled in the wrong order on purpose.
        let wait = |turn: ChatTurn, name: &'static str| {
            let order = order.clone();
            async move {
                let _turn = turn.wait().await;
                order.send(name).expect("somebody listens");
            }
        };
        tokio::join!(wait(third, "third"), wait(second, "second"), wait(first, "first"));
        assert_eq!(
            [seen.recv().await, seen.recv().await, seen.recv().await],
            [Some("first"), Some("second"), Some("third")]
        );
    }
}
