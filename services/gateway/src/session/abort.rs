//! Aborts a connection on which a message could not be written ([`BatchingStore`](super::store::BatchingStore)) or
//! published (the durability hook, whose documentation says why the connection must end then).

use super::state::{ConnectionSignal, SessionSignal};
use kurir_contract::session::SessionId;
use std::fmt::Display;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Aborts one connection. Clones abort the same one.
#[derive(Clone)]
pub struct ConnectionAbort {
    session: SessionId,
    connection: u64,
    broken: CancellationToken,
    signals: mpsc::Sender<ConnectionSignal>,
}

impl ConnectionAbort {
    #[must_use]
    pub fn new(session: SessionId, connection: u64, signals: mpsc::Sender<ConnectionSignal>) -> Self {
        Self { session, connection, broken: CancellationToken::new(), signals }
    }

    /// Cancelled when no further message of this connection may be published.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.broken
    }

    /// Aborts the connection. Only the first reason is logged and counts.
    pub fn abort(&self, signal: SessionSignal, why: &dyn Display) {
        if self.broken.is_cancelled() {
            return;
        }
        tracing::warn!(session.id = %self.session, "leaving WhatsApp, which keeps the messages: {why}");
        // First, so that no later message of this connection is published before this one comes again.
        self.broken.cancel();
        // If the queue is full, it already holds a signal that ends this connection.
        let _ = self.signals.try_send((self.connection, signal));
    }
}
