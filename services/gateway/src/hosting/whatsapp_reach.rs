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
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// A gateway that failed to connect for so long is cut off. A takeover has 15 s; leaving and connecting need the rest.
const CUT_OFF_AFTER: Duration = Duration::from_secs(3);
/// For one connection. WhatsApp's servers are near, and two tries fit in.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const ASK_EVERY: Duration = Duration::from_secs(1);
/// While WhatsApp's address answers and sessions still wait, as they do when WhatsApp turns them away.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What the sessions without a proxy say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionsSay {
    /// None wants to be connected.
    Nothing,
    /// Some wait for a connection, and none has one.
    Waiting,
    Connected,
}

/// Clones share what they know.
#[derive(Clone)]
pub struct WhatsappReach {
    /// The sessions that want to be connected, and whether they are.
    sessions: watch::Sender<BTreeMap<SessionId, bool>>,
    cut_off: watch::Sender<bool>,
    metrics: GatewayMetrics,
}

impl WhatsappReach {
    #[must_use]
    pub fn new(metrics: GatewayMetrics) -> Self {
        Self { sessions: watch::Sender::default(), cut_off: watch::Sender::new(false), metrics }
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
                SessionState::Connected | SessionState::Pairing { qr_code: Some(_), .. } => Some(true),
                SessionState::Connecting | SessionState::Reconnecting { .. } => Some(false),
                // Without a code nobody waits for the connection of a pairing.
                SessionState::Pairing { qr_code: None, .. }
                | SessionState::WaitingForBroker
                | SessionState::CannotStore(_)
                | SessionState::ProxyAway { .. }
                | SessionState::Ended(_) => None,
            };
            self.record(&session, is_connected);
            if !matches!(shutdown.run_until_cancelled(view.changed()).await, Some(Ok(()))) {
                self.record(&session, None);
                // Whatever ended the session says why.
                shutdown.cancelled().await;
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
        let mut sessions = self.sessions.subscribe();
        let mut failing_since = None;
        loop {
            if !*self.cut_off.borrow() && what_say(&sessions.borrow_and_update()) != SessionsSay::Waiting {
                failing_since = None;
                // The sender is this value's own, so there is always an answer.
                let _ = sessions.wait_for(|sessions| what_say(sessions) == SessionsSay::Waiting).await;
            }
            let reached = async { TcpStream::connect((host, port)).await.is_ok() };
            let reached = tokio::select! {
                reached = timeout(ANSWERS_WITHIN, reached) => reached.unwrap_or(false),
                Ok(_) = sessions.wait_for(|sessions| what_say(sessions) == SessionsSay::Connected) => true,
            };
            if reached {
                failing_since = None;
                self.set_cut_off(false);
                let answered = sessions.wait_for(|sessions| what_say(sessions) != SessionsSay::Waiting);
                let _ = timeout(ASK_AGAIN_AFTER, answered).await;
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
        self.sessions.send_if_modified(|sessions| {
            let before = match is_connected {
                Some(is_connected) => sessions.insert(session.clone(), is_connected),
                None => sessions.remove(session),
            };
            before != is_connected
        });
    }
}

fn what_say(sessions: &BTreeMap<SessionId, bool>) -> SessionsSay {
    match sessions.values().any(|is_connected| *is_connected) {
        true => SessionsSay::Connected,
        false if sessions.is_empty() => SessionsSay::Nothing,
        false => SessionsSay::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{client_tasks::ClientTasks, passkey::PasskeyCeremony};
    use kurir_chassis::metrics::MetricsRegistry;

    #[tokio::test]
    async fn a_session_that_nobody_pairs_says_nothing_of_the_line() {
        let reach = WhatsappReach::new(GatewayMetrics::register(&MetricsRegistry::default()));
        let mut sessions = reach.sessions.subscribe();
        let pairing = |qr_code: Option<&str>| SessionState::Pairing {
            qr_code: qr_code.map(str::to_owned),
            passkey: PasskeyCeremony::None,
        };
        let view = |state| SessionView {
            state,
            own: None,
            client: None,
            client_tasks: ClientTasks::default(),
            awaits_keys: false,
        };
        let (unpaired, seen) = watch::channel(view(pairing(Some("a code"))));
        let (paired, also_seen) = watch::channel(view(SessionState::Connected));
        let stop = CancellationToken::new();
        for (session, seen) in [("default", seen), ("sales", also_seen)] {
            tokio::spawn(reach.clone().follow(session.parse().expect("an id"), seen, stop.clone()));
        }
        sessions.wait_for(|sessions| what_say(sessions) == SessionsSay::Connected).await.expect("the sender lives");
        // The line is cut: the code is gone, and the other session tries again.
        unpaired.send_replace(view(pairing(None)));
        paired.send_replace(view(SessionState::Reconnecting { reason: "the line is cut".to_owned() }));
        sessions.wait_for(|sessions| what_say(sessions) == SessionsSay::Waiting).await.expect("the sender lives");
        stop.cancel();
        sessions.wait_for(|sessions| what_say(sessions) == SessionsSay::Nothing).await.expect("the sender lives");
    }
}
