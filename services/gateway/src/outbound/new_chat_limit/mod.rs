//! Decides whether a person may be written to now. New chats are limited to a few a day, and to none while WhatsApp
//! restricts the account.
//!
//! `window` counts the new chats, `restrictions` holds what WhatsApp said. Groups, and people who wrote or were written
//! to before, can always be written to. If NATS is away, the limit lets every message pass: it protects the account and
//! promises nothing.

mod restrictions;
mod window;

pub use restrictions::RestrictionTracker;

use crate::{known_chats::KnownChats, outbound::outcome::Deferral};
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
    /// New chats a day. 0: any number.
    cap: u32,
    broker: Broker,
    /// Held while a chat is counted, so that no two are counted at the same time.
    counting: Mutex<()>,
}

/// The bucket answers in milliseconds, unless NATS is in trouble.
const WITHIN: Duration = Duration::from_secs(2);

impl NewChatLimit {
    #[must_use]
    pub fn new(known: KnownChats, restrictions: RestrictionTracker, cap: u32, broker: Broker) -> Self {
        Self { known, restrictions, cap, broker, counting: Mutex::new(()) }
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

/// Chats have hashes as keys, so none of them has this one.
fn window_key(session: &SessionId) -> String {
    format!("{session}.window")
}
