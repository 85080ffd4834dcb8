//! How long a chat waits for its files: one limit for all of them together, so that many slow files do not delay a chat
//! more than one does.

use kurir_contract::address::ChatJid;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The part of the limit that each file has, whatever the files before it took: a file that comes at once is not late.
const GRACE: u32 = 40;
/// Chats that are remembered. When there are more, those that have waited longest ago are forgotten.
const CHATS: usize = 10_000;

/// What each chat has left of its limit. Clones share it.
#[derive(Clone)]
pub struct ChatWaits {
    limit: Duration,
    chats: Arc<Mutex<HashMap<ChatJid, WaitLeft>>>,
}

#[derive(Clone, Copy)]
struct WaitLeft {
    left: Duration,
    /// When `left` was right. From then on it grows as time passes.
    at: Instant,
}

impl ChatWaits {
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, chats: Arc::default() }
    }

    /// How long the chat may wait for its next file.
    #[must_use]
    pub fn allowance(&self, chat: &ChatJid, now: Instant) -> Duration {
        let chats = self.chats.lock().unwrap_or_else(PoisonError::into_inner);
        let left = chats.get(chat).map_or(self.limit, |wait| self.left(*wait, now));
        left.max(self.limit / GRACE)
    }

    /// Records that the chat waited until now.
    pub fn record(&self, chat: &ChatJid, waited: Duration, now: Instant) {
        let mut chats = self.chats.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = now.checked_sub(waited).unwrap_or(now);
        let before = chats.get(chat).map_or(self.limit, |wait| self.left(*wait, begun));
        if chats.len() >= CHATS {
            chats.retain(|_, wait| self.left(*wait, now) < self.limit);
            if chats.len() >= CHATS {
                chats.clear();
            }
        }
        chats.insert(chat.clone(), WaitLeft { left: before.saturating_sub(waited), at: now });
    }

    fn left(&self, wait: WaitLeft, now: Instant) -> Duration {
        (wait.left + now.saturating_duration_since(wait.at)).min(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_slow_files_delay_a_chat_hardly_more_than_one() {
        let limit = Duration::from_secs(20);
        let waits = ChatWaits::new(limit);
        let chat = ChatJid::from_whatsapp("628@s.whatsapp.net");
        let begun = Instant::now();
        let mut now = begun;
        for _ in 0..6 {
            let waited = waits.allowance(&chat, now);
            now += waited;
            waits.record(&chat, waited, now);
        }
        assert_eq!(now - begun, limit + 5 * limit / GRACE);
        assert_eq!(waits.allowance(&ChatJid::from_whatsapp("629@s.whatsapp.net"), now), limit, "another chat");
        assert_eq!(waits.allowance(&chat, now + Duration::from_secs(7)), Duration::from_secs(7));
        assert_eq!(waits.allowance(&chat, now + limit * 2), limit);
    }
}
