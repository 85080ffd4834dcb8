//! Whether this gateway reaches WhatsApp. One that is cut off gives its sessions to gateways that are not.
//!
//! WhatsApp's refusals are no reason: every gateway would get them. So while sessions wait for a connection and none has one,
//! the gateway asks the network by itself, with a TCP connection to WhatsApp's address. Sessions with a proxy of their own say
//! nothing about this gateway's network, and are not asked.

use crate::{
    connection::whatsapp_address,
    metrics::GatewayMetrics,
    session::{SessionView, state::SessionState},
};
use kurir_chassis::shutdown::CancellationToken;
use kurir_contract::session::SessionId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// A gateway that failed to connect for so long is cut off. A takeover has 15 s; leaving and connecting need the rest.
const CUT_OFF_AFTER: Duration = Duration::from_secs(4);
/// For one connection. WhatsApp's servers are near, and two tries fit in.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const ASK_EVERY: Duration = Duration::from_secs(1);
/// While WhatsApp's address answers and sessions still wait, as they do when WhatsApp turns them away.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Clones share what they know.
#[derive(Clone)]
pub struct WhatsappReach {
    /// The sessions that want to be connected, and whether they are.
    sessions: Arc<Mutex<BTreeMap<SessionId, bool>>>,
    /// Whether sessions wait, and none is connected.
    waits: watch::Sender<bool>,
    cut_off: watch::Sender<bool>,
    metrics: GatewayMetrics,
}

impl WhatsappReach {
    #[must_use]
    pub fn new(metrics: GatewayMetrics) -> Self {
        Self { sessions: Arc::default(), waits: watch::Sender::new(false), cut_off: watch::Sender::new(false), metrics }
    }

    /// Tells when the gateway is cut off, and when it is no longer.
    #[must_use]
    pub fn cut_off(&self) -> watch::Receiver<bool> {
        self.cut_off.subscribe()
    }

    /// Follows a session without a proxy, until the shutdown.
    ///
    /// # Errors
    /// Never; the shape is that of a session's task.
    pub async fn follow(
        self,
        session: SessionId,
        mut view: watch::Receiver<SessionView>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        loop {
            let is_connected = match view.borrow_and_update().state {
                // A session that shows a code has a connection.
                SessionState::Connected | SessionState::Pairing { .. } => Some(true),
                SessionState::Connecting | SessionState::Reconnecting { .. } => Some(false),
                SessionState::WaitingForBroker
                | SessionState::CannotStore(_)
                | SessionState::ProxyAway { .. }
                | SessionState::Ended(_) => None,
            };
            self.record(&session, is_connected);
            if !matches!(shutdown.run_until_cancelled(view.changed()).await, Some(Ok(()))) {
                self.record(&session, None);
                return Ok(());
            }
        }
    }

    /// Asks the network while that is in question, until the shutdown. `url` is WhatsApp's, or another one for its simulator.
    ///
    /// # Errors
    /// If the URL has no host.
    pub async fn run(self, url: Option<String>, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (host, port) = whatsapp_address(url.as_deref())?;
        shutdown.run_until_cancelled(self.ask(&host, port)).await;
        Ok(())
    }

    async fn ask(&self, host: &str, port: u16) {
        let mut waits = self.waits.subscribe();
        let mut failing_since = None;
        loop {
            if !*self.cut_off.borrow() {
                // The sender is this value's own, so there is always an answer.
                let _ = waits.wait_for(|waits| *waits).await;
            }
            if matches!(timeout(ANSWERS_WITHIN, TcpStream::connect((host, port))).await, Ok(Ok(_))) {
                failing_since = None;
                self.set_cut_off(false);
                let _ = timeout(ASK_AGAIN_AFTER, waits.wait_for(|waits| !waits)).await;
            } else {
                let since: Instant = *failing_since.get_or_insert_with(Instant::now);
                self.set_cut_off(*self.cut_off.borrow() || since.elapsed() >= CUT_OFF_AFTER);
                sleep(ASK_EVERY).await;
            }
        }
    }

    fn set_cut_off(&self, is_cut_off: bool) {
        if !self.cut_off.send_if_modified(|before| std::mem::replace(before, is_cut_off) != is_cut_off) {
            return;
        }
        self.metrics.record_reach(!is_cut_off);
        if is_cut_off {
            tracing::warn!(
                "WhatsApp cannot be reached from this gateway: its sessions go to gateways that reach it, if there are any"
            );
        } else {
            tracing::info!("WhatsApp can be reached from this gateway again");
        }
    }

    /// `is_connected` is none for a session that wants no connection.
    fn record(&self, session: &SessionId, is_connected: Option<bool>) {
        // Each change is one insertion or removal.
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        match is_connected {
            Some(is_connected) => sessions.insert(session.clone(), is_connected),
            None => sessions.remove(session),
        };
        let waits = !sessions.is_empty() && sessions.values().all(|is_connected| !is_connected);
        self.waits.send_if_modified(|before| std::mem::replace(before, waits) != waits);
    }
}
