//! The task that owns a session: it takes one signal at a time, lets `state` decide, and acts. `connection_cycle` opens
//! and closes connections, `control` does what a user asks for, `deadlines` ends a pairing that takes too long, `passkey`
//! handles a user's part in a pairing by passkey, and `health_events` reports silences and an absent phone; `waits` are what it waits
//! for.

mod broker_return;
mod connection_cycle;
mod control;
mod deadlines;
mod health_events;
mod passkey;
mod waits;

use super::{client::ClientConnection, qr};
use crate::{
    config::GatewayConfig,
    inbound::{MessageMapper, notices::NoticeQueue, unhooked::UnhookedQueue},
    publish::EventPublisher,
    session::{
        ControlRequest, SessionHandle, SessionView,
        acks::PendingAcks,
        appearance::OnlineAppearance,
        client_tasks::ClientTasks,
        passkey::PasskeyCeremony,
        phone::PhonePresence,
        state::{ConnectionSignal, SessionAction, SessionSignal, SessionState, next_state},
        status_queue::StatusQueue,
        store::SessionStore,
        watchdog::{ConnectionWatchdog, SilenceLimits},
        whatsapp_hosts::WhatsappHosts,
    },
    shared_ticks::shared_interval,
};
use broker_return::BrokerReturn;
use kurir_chassis::broker::Broker;
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use waits::{sleep_until_some, wait_closed, wait_stored};

/// The parts that a session needs.
pub struct SessionTask {
    config: GatewayConfig,
    broker: Broker,
    store: SessionStore,
    publisher: EventPublisher,
    inbound: MessageMapper,
    unhooked: UnhookedQueue,
    notices: NoticeQueue,
    changes: StatusQueue,
    watchdog: ConnectionWatchdog,
    phone: PhonePresence,
    hosts: WhatsappHosts,
    acks: Arc<PendingAcks>,
    appearance: OnlineAppearance,
    view: watch::Sender<SessionView>,
    control: mpsc::Receiver<ControlRequest>,
    signals: (mpsc::Sender<ConnectionSignal>, mpsc::Receiver<ConnectionSignal>),
    state: SessionState,
    connection: Option<ClientConnection>,
    /// The number of connections so far.
    connections_opened: u64,
    begun: Instant,
    /// Connections in a row that ended by themselves too soon.
    short_connections: u32,
    connect_at: Option<Instant>,
    broker_away_since: Option<Instant>,
    refused_since: Option<Instant>,
    pairing_code_until: Option<Instant>,
    /// The time at which the client has shown all its QR codes and closes the connection.
    codes_until: Option<OffsetDateTime>,
    /// Until when keys that were made elsewhere are waited for.
    keys_until: Option<Instant>,
    /// How often the gateway left WhatsApp because the broker was away.
    left_for_broker: u64,
    broker_return: BrokerReturn,
    #[cfg(feature = "simulator")]
    simulated_phone: tokio::task::JoinSet<()>,
}

/// There are a few lifecycle events a minute, so no burst fills the queue.
const SIGNALS: usize = 1024;
/// Users' requests that wait for their turn.
const CONTROLS: usize = 16;
/// How often the connection is checked: some losses cause no event.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A NATS that refuses events for this long is left alone: WhatsApp keeps the messages.
const REFUSED_FOR: Duration = Duration::from_secs(1);
/// How long an import may take from the record of the session to its keys.
const KEYS_COME_WITHIN: Duration = Duration::from_secs(60);
/// Time for commands under way when the gateway stops. WhatsApp answers a send within a second.
const PATIENCE_WITH_COMMANDS: Duration = Duration::from_secs(3);

/// Makes a session's task, and the handle for the rest of the gateway.
#[must_use]
pub fn new_session(
    config: &GatewayConfig,
    broker: &Broker,
    store: SessionStore,
    inbound: MessageMapper,
    (unhooked, notices, changes, publisher): (UnhookedQueue, NoticeQueue, StatusQueue, EventPublisher),
) -> (SessionTask, SessionHandle) {
    let state = SessionState::WaitingForBroker;
    let (view, seen) = watch::channel(SessionView {
        state: state.clone(),
        own: None,
        client: None,
        client_tasks: ClientTasks::default(),
        awaits_keys: false,
    });
    let (control, controls) = mpsc::channel(CONTROLS);
    let phone = PhonePresence::open(&store.phone_file());
    let acks = Arc::new(PendingAcks::default());
    let hosts = WhatsappHosts::default();
    let appearance = OnlineAppearance::new(config.whatsapp_mark_online);
    let session = SessionHandle {
        id: inbound.session.clone(),
        path: config.whatsapp_session_path.display().to_string(),
        folder: store.folder().to_owned(),
        view: seen,
        phone: phone.clone(),
        hosts: hosts.clone(),
        acks: Arc::clone(&acks),
        appearance: appearance.clone(),
        control,
        guard: publisher.guard.clone(),
    };
    let task = SessionTask {
        config: config.clone(),
        broker: broker.clone(),
        store,
        publisher,
        inbound,
        unhooked,
        notices,
        changes,
        watchdog: ConnectionWatchdog::new(SilenceLimits {
            silence: config.whatsapp_silence,
            deafness: config.whatsapp_probe_every,
        }),
        phone,
        hosts,
        acks,
        appearance,
        view,
        control: controls,
        signals: mpsc::channel(SIGNALS),
        state,
        connection: None,
        connections_opened: 0,
        begun: Instant::now(),
        short_connections: 0,
        connect_at: None,
        broker_away_since: None,
        refused_since: None,
        pairing_code_until: None,
        codes_until: None,
        keys_until: config.awaits_keys.then(|| Instant::now() + KEYS_COME_WITHIN),
        left_for_broker: 0,
        broker_return: BrokerReturn::new(),
        #[cfg(feature = "simulator")]
        simulated_phone: tokio::task::JoinSet::new(),
    };
    (task, session)
}

impl SessionTask {
    /// Runs until the shutdown.
    ///
    /// # Errors
    /// If the keys cannot be opened or wiped.
    pub async fn run(mut self, shutdown: CancellationToken, commands_done: CancellationToken) -> anyhow::Result<()> {
        let mut look = shared_interval(LOOK_EVERY);
        loop {
            let waits_for_broker = self.state == SessionState::WaitingForBroker;
            let waits_for_room = matches!(self.state, SessionState::CannotStore(_));
            let signal = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(told) = self.signals.1.recv() => {
                    self.apply_signal(told).await?;
                    continue;
                }
                () = wait_closed(&mut self.connection) => {
                    // The client's last signals explain its end, and are in the queue by now.
                    while let Ok(told) = self.signals.1.try_recv() {
                        self.apply_signal(told).await?;
                    }
                    self.disconnect().await;
                    SessionSignal::ConnectionEnded
                }
                Some(control) = self.control.recv() => {
                    self.handle_control(control).await?;
                    continue;
                }
                () = self.broker_return.wait(&self.broker), if waits_for_broker => SessionSignal::BrokerReady,
                // The event about this state waits to be published: it is what notices that NATS stores again.
                () = wait_stored(&self.publisher), if waits_for_room => SessionSignal::BrokerReady,
                () = sleep_until_some(self.connect_at) => {
                    self.connect().await?;
                    continue;
                }
                _ = look.tick(), if !waits_for_broker && !waits_for_room => match self.poll_signals() {
                    Some(signal) => signal,
                    None => continue,
                },
            };
            self.apply(signal).await?;
        }
        // A send under way still needs its acknowledgement.
        let _ = timeout(PATIENCE_WITH_COMMANDS, commands_done.cancelled()).await;
        self.disconnect().await;
        self.save_phone(true);
        Ok(())
    }

    /// Applies a signal, unless it comes from an earlier connection.
    async fn apply_signal(&mut self, (connection, signal): ConnectionSignal) -> anyhow::Result<()> {
        if self.connection.as_ref().is_some_and(|now| now.number == connection) {
            self.apply(signal).await?;
        }
        Ok(())
    }

    /// Finds the signals that no event brings.
    fn poll_signals(&mut self) -> Option<SessionSignal> {
        if self.broker.is_connected() {
            self.broker_away_since = None;
        } else {
            let since = *self.broker_away_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.config.broker_wait {
                return Some(SessionSignal::BrokerLost);
            }
        }
        if let Some(problem) = self.publisher.storage_problem() {
            let since = *self.refused_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= REFUSED_FOR {
                return Some(SessionSignal::CannotStore(problem));
            }
        } else {
            self.refused_since = None;
        }
        if let Some(signal) = self.take_expired() {
            return Some(signal);
        }
        self.check_phone();
        let client = &self.connection.as_ref()?.client;
        let lost = self.state == SessionState::Connected && !(client.is_connected() && client.is_logged_in());
        if lost {
            return Some(SessionSignal::ConnectionLost("the connection to WhatsApp was lost".to_owned()));
        }
        match self.state {
            SessionState::Connecting | SessionState::Connected | SessionState::Reconnecting { .. } => {
                self.watchdog.check(client).map(SessionSignal::Silent)
            }
            // While a session waits for a phone, silence is normal.
            SessionState::Pairing { .. }
            | SessionState::ProxyAway { .. }
            | SessionState::WaitingForBroker
            | SessionState::CannotStore(_)
            | SessionState::Ended(_) => None,
        }
    }

    async fn apply(&mut self, mut signal: SessionSignal) -> anyhow::Result<()> {
        self.set_deadlines(&mut signal);
        self.report_signal(&signal);
        let (state, action) = next_state(self.state.clone(), signal);
        match action {
            SessionAction::Nothing => self.enter_state(state),
            SessionAction::Connect => {
                self.enter_state(state);
                self.connect().await?;
            }
            SessionAction::ConnectLater => {
                self.enter_state(state);
                self.disconnect().await;
                self.connect_later();
            }
            SessionAction::ConnectUnpaired => {
                self.disconnect().await;
                self.wipe_keys().await?;
                self.enter_state(state);
                self.connect().await?;
            }
            SessionAction::Disconnect => {
                self.enter_state(state);
                self.disconnect().await;
            }
            SessionAction::LogOut => {
                self.log_out().await?;
                // Last, so that the state says that the keys are gone only when they are.
                self.enter_state(state);
            }
            SessionAction::ConfirmPasskey => {
                self.enter_state(state);
                self.confirm_passkey();
            }
        }
        Ok(())
    }

    /// Publishes a new state. A state that looks like the old one causes no event.
    fn enter_state(&mut self, state: SessionState) {
        let own = self.connection.as_ref().map(|connection| self.own_addresses(&connection.client));
        self.view.send_modify(|view| {
            view.state = state.clone();
            if let Some(own) = own {
                view.own = own;
            }
        });
        if state.passkey() != self.state.passkey() && *state.passkey() != PasskeyCeremony::None {
            self.report_passkey(state.passkey());
        }
        if state.is_same_status(&self.state) {
            self.state = state;
            return;
        }
        if state == SessionState::WaitingForBroker {
            self.left_for_broker += 1;
            self.broker_return.leave(&self.broker, self.begun, self.config.broker_wait);
            tracing::warn!(session.id = %self.inbound.session, times = self.left_for_broker, "leaving WhatsApp, which keeps the messages, until NATS is back");
        }
        self.publisher.metrics.record_status(&self.inbound.session, self.state.status(), state.status());
        log_state(&self.inbound.session, &state);
        self.changes.push_state(&self.inbound.session, &state);
        if let Some(code) = state.qr_code() {
            self.show_code(code);
        }
        self.state = state;
    }

    fn show_code(&mut self, code: &str) {
        qr::print_code(code);
        #[cfg(feature = "simulator")]
        if let Some(url) = &self.config.whatsapp_url {
            while self.simulated_phone.try_join_next().is_some() {}
            self.simulated_phone.spawn(super::simulated_phone::scan_code(url.clone(), code.to_owned()));
        }
    }
}

/// Logs one line for each change. The line holds no code, so that readers of a log cannot pair.
fn log_state(session: &kurir_contract::session::SessionId, state: &SessionState) {
    let name = state.status().as_str();
    match state.reason() {
        Some(reason) => {
            tracing::info!(session.id = %session, session.status = name, "session {session} is {name}: {reason}")
        }
        None => tracing::info!(session.id = %session, session.status = name, "session {session} is {name}"),
    }
}
