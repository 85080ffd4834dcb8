//! Who may be written to now: people that the session has no chat with are few a day, and none while WhatsApp restricts it.
//!
//! `known_chats` remembers the chats, `window` counts the new ones, `restrictions` holds what WhatsApp said. Groups, and whoever
//! wrote or was written to before, are always reached. NATS being away stops nobody: this protects, it promises nothing.

mod known_chats;
mod restrictions;
mod window;

pub use known_chats::{KnownChatWriter, KnownChats, known_chat_channel};
pub use restrictions::RestrictionTracker;

use super::Deferral;
use anyhow::Context as _;
use kurir_chassis::broker::Broker;
use kurir_contract::{address::ChatJid, command::WaitReason, session::SessionId};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::{sync::Mutex, time::timeout};
use window::NewChatWindow;

/// Decides for one session.
pub struct NewChatLimit {
    pub known: KnownChats,
    pub restrictions: RestrictionTracker,
    /// New chats a day; 0: any number.
    cap: u32,
    broker: Broker,
    /// One at a time counts.
    counting: Mutex<()>,
}

/// The bucket answers in milliseconds, or NATS is in trouble.
const WITHIN: Duration = Duration::from_secs(2);

impl NewChatLimit {
    #[must_use]
    pub fn new(known: KnownChats, restrictions: RestrictionTracker, cap: u32, broker: Broker) -> Self {
        Self { known, restrictions, cap, broker, counting: Mutex::new(()) }
    }

    /// Until when a message to this chat has to wait; none: it may go, and is counted.
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
                tracing::warn!(chat = to.redacted(), "a chat is taken for known: {error:#}");
                None
            }
            Err(_) => {
                tracing::warn!(chat = to.redacted(), "a chat is taken for known: NATS did not answer");
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
        if self.known.is_known(&self.broker, to).await? {
            return Ok(None);
        }
        if restricted.is_some() {
            return Ok(restricted);
        }
        let _counting = self.counting.lock().await;
        let bucket = self.known.open_bucket(&self.broker).await?;
        let key = window_key(self.known.session());
        let window: NewChatWindow = match bucket.get(&key).await.context("failed to read the count of new chats")? {
            Some(stored) => serde_json::from_slice(&stored).unwrap_or_default(),
            None => NewChatWindow::default(),
        };
        match window.count_chat(self.cap, now) {
            Ok(window) => {
                bucket.put(&key, serde_json::to_vec(&window)?.into()).await.context("failed to count a new chat")?;
                Ok(None)
            }
            Err(until) => Ok(Some(Deferral { until, reason: WaitReason::NewChatsPerDay })),
        }
    }
}

/// No chat has this key: theirs are hashes.
fn window_key(session: &SessionId) -> String {
    format!("{session}.window")
}
