//! Opens and closes the session's connections, one after the other, and logs out.

use super::{
    super::{client::ClientConnection, listener::ClientListener},
    SessionTask,
};
use crate::{
    inbound::{addresses::chat_jid, durability::DurabilityHook},
    session::{
        InstallRefusal, OwnAddresses,
        abort::ConnectionAbort,
        journal::Overtaken,
        state::{SessionEnd, SessionState},
        store::{DamagedKeys, IncomingKeys},
    },
};
use kurir_chassis::backoff::Backoff;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use whatsapp_rust::Client;

/// A connection that ends by itself sooner is a failure, and the next pause is longer.
const LONG_CONNECTION: Duration = Duration::from_secs(30);
/// The pauses after connections that ended by themselves.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(64));
/// The client asks WhatsApp to remove the device, which takes at most three seconds, and closes.
const LOGOUT_WITHIN: Duration = Duration::from_secs(10);

impl SessionTask {
    pub(super) async fn connect(&mut self) -> anyhow::Result<()> {
        self.disconnect().await;
        self.connect_at = self.keys_until.filter(|until| Instant::now() < *until && !self.store.is_paired());
        let awaits_keys = self.connect_at.is_some();
        self.view.send_if_modified(|view| std::mem::replace(&mut view.awaits_keys, awaits_keys) != awaits_keys);
        if awaits_keys {
            return Ok(());
        }
        self.keys_until = None;
        self.pairing_code_until = None;
        self.codes_until = None;
        self.connections_opened += 1;
        self.begun = Instant::now();
        let listener = ClientListener {
            connection: self.connections_opened,
            signals: self.signals.0.clone(),
            acks: Arc::clone(&self.acks),
            unhooked: self.unhooked.clone(),
            notices: self.notices.clone(),
            undecryptable: self.inbound.undecryptable.clone(),
            appearance: self.appearance.clone(),
            heard: self.watchdog.reset(),
            phone: self.phone.clone(),
            hosts: self.hosts.clone(),
        };
        let hook = DurabilityHook {
            inbound: self.inbound.clone(),
            publisher: self.publisher.clone(),
            wait: self.config.broker_wait,
            breaker: ConnectionAbort::new(
                self.inbound.session.clone(),
                self.connections_opened,
                self.signals.0.clone(),
            ),
            turns: Mutex::default(),
        };
        let begun = ClientConnection::open(&self.config, &self.store, listener, hook, self.appearance.clone()).await;
        let connection = match begun {
            Ok(connection) => connection,
            // Another try would find the same: somebody must repair the file.
            Err(error) if error.is::<DamagedKeys>() => {
                self.enter_state(SessionState::Ended(SessionEnd::Damaged { reason: format!("{error:#}") }));
                return Ok(());
            }
            // The files here are old by now: the session ends, and starts again where it may.
            Err(error) if error.is::<Overtaken>() => return Err(error),
            // At the start this is a mistake that somebody must see. Later it is a full disk, which may have room
            // again.
            Err(error) if self.connections_opened > 1 => {
                tracing::error!(session.id = %self.inbound.session, "the client did not start; the gateway tries again: {error:#}");
                self.connect_later();
                // The existing reason says more: this error follows from it.
                if !matches!(self.state, SessionState::Reconnecting { .. }) {
                    self.enter_state(SessionState::Reconnecting { reason: format!("{error:#}") });
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.view.send_modify(|view| {
            view.own = self.own_addresses(&connection.client);
            view.client = Some(Arc::clone(&connection.client));
            view.client_tasks = connection.tasks.clone();
        });
        self.connection = Some(connection);
        Ok(())
    }

    pub(super) fn connect_later(&mut self) {
        self.short_connections = if self.begun.elapsed() < LONG_CONNECTION { self.short_connections + 1 } else { 0 };
        self.connect_at = Some(Instant::now() + BACKOFF.pause_after(self.short_connections));
    }

    pub(super) async fn disconnect(&mut self) {
        self.connect_at = None;
        self.view.send_modify(|view| view.client = None);
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    pub(super) async fn log_out(&mut self) -> anyhow::Result<()> {
        if let Some(connection) = &self.connection {
            let told = connection.client.is_connected();
            if !told || timeout(LOGOUT_WITHIN, connection.client.logout()).await.is_err() {
                tracing::warn!(session.id = %self.inbound.session, "WhatsApp could not be told of the logout: remove this device on the phone");
            }
        }
        self.disconnect().await;
        self.wipe_keys().await
    }

    /// Puts keys that came from elsewhere in their place and connects with them, unless the session is paired.
    pub(super) async fn install(&mut self, keys: IncomingKeys) -> anyhow::Result<Result<(), InstallRefusal>> {
        if self.store.is_paired() {
            return Ok(Err(InstallRefusal));
        }
        self.disconnect().await;
        self.keys_until = None;
        self.store.settle().await?;
        self.store.install(keys)?;
        self.store.note_replaced().await?;
        self.inbound.polls.read_again();
        self.phone.read_again();
        if !matches!(self.state, SessionState::WaitingForBroker | SessionState::CannotStore(_)) {
            self.enter_state(SessionState::Connecting);
            self.connect().await?;
        }
        Ok(Ok(()))
    }

    pub(super) async fn wipe_keys(&mut self) -> anyhow::Result<()> {
        self.store.settle().await?;
        self.store.wipe()?;
        self.store.note_replaced().await?;
        self.inbound.polls.clear();
        self.phone.clear();
        self.view.send_modify(|view| view.own = None);
        Ok(())
    }

    /// The account's own addresses, once it is paired. The phone sends under them, too.
    pub(super) fn own_addresses(&self, client: &Client) -> Option<OwnAddresses> {
        let (number, lid) = (client.pn()?, client.lid());
        self.phone.set_own_numbers([Some(&number), lid.as_ref()].into_iter().flatten().cloned());
        Some(OwnAddresses { jid: chat_jid(&number), lid: lid.map(|lid| chat_jid(&lid)) })
    }
}
