//! Decides whether a person may be written to now. New chats are limited to a few a day, and to none while WhatsApp
//! restricts the account.
//!
//! `window` counts the new chats, `restrictions` holds what WhatsApp said. Groups, and people who wrote or were written
//! to before, can always be written to. If NATS is away, the limit lets every message pass: it protects the account and
//! promises nothing.

mod restrictions;
mod window;

pub use restrictions::{NO_TOKEN, RestrictionTracker};

use crate::{known_chats::KnownChats, outbound::outcome::Deferral};
use kurir_chassis::bucket::to_json;
use kurir_contract::{address::ChatJid, command::WaitReason, session::SessionId};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::{sync::Mutex, time::timeout};
use window::NewChatWindow;

/// Decides for one session.
pub struct NewChatLimit {
    pub known: KnownChats,
    pub restrictions: RestrictionTracker,
    /// New chats a day. 0: any number.
    cap: u32,
    /// Held while a chat is counted, so that no two are counted at the same time.
    counting: Mutex<()>,
}

/// The bucket answers in milliseconds, unless NATS is in trouble.
const WITHIN: Duration = Duration::from_secs(2);

impl NewChatLimit {
    #[must_use]
    pub fn new(known: KnownChats, restrictions: RestrictionTracker, cap: u32) -> Self {
        Self { known, restrictions, cap, counting: Mutex::new(()) }
    }

    /// Until when a message to this chat must wait. None: the message may go now, and its chat is counted.
    pub async fn check_chat(&self, to: &ChatJid, now: OffsetDateTime) -> Option<Deferral> {
        let restriction = self.restrictions.current(now);
        if to.is_group() || (self.cap == 0 && restriction.is_none()) {
            return None;
        }
        match timeout(
            WITHIN,
            self.check_person(to, restriction.map(|of| Deferral { until: of.until, reason: of.wait_reason() }), now),
        )
        .await
        {
            Ok(Ok(held)) => held,
            Ok(Err(error)) => {
                tracing::warn!(chat = to.redacted(), "treating a chat as known: {error:#}");
                None
            }
            Err(_) => {
                tracing::warn!(chat = to.redacted(), "treating a chat as known: NATS did not answer");
                None
            }
        }
    }

    async fn check_person(
        &self,
        to: &ChatJid,
        restricted: Option<Deferral>,
        now: OffsetDateTime,
    ) -> anyhow::Result<Option<Deferral>> {
        if self.known.is_known(to).await? {
            return Ok(None);
        }
        if restricted.is_some() {
            return Ok(restricted);
        }
        let _counting = self.counting.lock().await;
        let bucket = self.known.bucket();
        let key = window_key(self.known.session());
        let stored = bucket.get(&key).await?;
        let window: NewChatWindow = stored.and_then(|stored| stored.json().ok()).unwrap_or_default();
        match window.count_chat(self.cap, now) {
            Ok(window) => {
                bucket.put(&key, to_json(&window)?).await?;
                Ok(None)
            }
            Err(until) => Ok(Some(Deferral { until, reason: WaitReason::NewChatsPerDay })),
        }
    }
}

/// Chats have hashes as keys, so none of them has this one.
fn window_key(session: &SessionId) -> String {
    format!("{session}.window")
}
