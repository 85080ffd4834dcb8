//! Gives up a life of the client in which a message could not be kept ([`BatchingStore`](super::store::SharedWrites)) or
//! stored ([`DurabilityHook`](crate::inbound::durability::DurabilityHook), which says why a life must end for it).

use super::state::{ConnectionSignal, SessionSignal};
use kurir_contract::session::SessionId;
use std::fmt::Display;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Of one life.
#[derive(Clone)]
pub struct ConnectionAbort {
    session: SessionId,
    life: u64,
    broken: CancellationToken,
    signals: mpsc::Sender<ConnectionSignal>,
}

impl ConnectionAbort {
    #[must_use]
    pub fn new(session: SessionId, life: u64, signals: mpsc::Sender<ConnectionSignal>) -> Self {
        Self { session, life, broken: CancellationToken::new(), signals }
    }

    /// Cancelled when nothing more of this life may be published.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.broken
    }

    /// The first reason is the one that is told.
    pub fn abort(&self, signal: SessionSignal, why: &dyn Display) {
        if self.broken.is_cancelled() {
            return;
        }
        tracing::warn!(session.id = %self.session, "leaving WhatsApp, which keeps the messages: {why}");
        // First, so that no later message of this life is published before this one comes again.
        self.broken.cancel();
        // A full queue already holds what will end this life.
        let _ = self.signals.try_send((self.life, signal));
    }
}
