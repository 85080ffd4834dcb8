//! The task that owns a session: it takes signals one at a time, lets `state` decide, and does what that says; `lives`
//! begins and ends the lives of its client, `deadlines` is when a pairing must be done, `passkey` what a user does for one.

mod deadlines;
mod lives;
mod passkey;
mod seen;

use super::{
    Control, Session, View,
    appearance::Appearance,
    life::Life,
    passkey::Passkey,
    phone::Phone,
    qr,
    state::{Action, LifeSignal, Signal, State, next},
    status::Changes,
    store::Store,
    watchdog::{Limits, Watchdog},
};
use crate::{
    config::Config,
    inbound::{Inbound, notices::Notices, unhooked::Unhooked},
    outbound::acks::Acks,
    publish::Publisher,
};
use kurir_chassis::broker::Broker;
use kurir_contract::command::LoggedOut;
use std::{future::pending, sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// All that a session needs to live.
pub struct SessionTask {
    config: Config,
    broker: Broker,
    store: Store,
    publisher: Publisher,
    inbound: Inbound,
    unhooked: Unhooked,
    notices: Notices,
    changes: Changes,
    watchdog: Watchdog,
    phone: Phone,
    acks: Arc<Acks>,
    appearance: Appearance,
    view: watch::Sender<View>,
    control: mpsc::Receiver<Control>,
    signals: (mpsc::Sender<LifeSignal>, mpsc::Receiver<LifeSignal>),
    state: State,
    life: Option<Life>,
    /// Lives begun so far.
    lives: u64,
    begun: Instant,
    /// Lives in a row that ended by themselves too soon.
    short_lives: u32,
    next_life: Option<Instant>,
    broker_away_since: Option<Instant>,
    pairing_code_until: Option<Instant>,
    /// When the client has shown all its QR codes, and closes the connection.
    codes_until: Option<OffsetDateTime>,
    /// How often the gateway left WhatsApp because of the broker.
    left_for_broker: u64,
    #[cfg(feature = "simulator")]
    simulated_phone: tokio::task::JoinSet<()>,
}

/// Lifecycle events come a few a minute; a burst this long does not exist.
const SIGNALS: usize = 1024;
/// Users' requests that wait for their turn.
const CONTROLS: usize = 16;
/// How often the connection is looked at: some ways to lose it have no event.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What commands under way have when the gateway stops; WhatsApp answers a send within one second.
const PATIENCE_WITH_COMMANDS: Duration = Duration::from_secs(3);

/// Makes a session's task and what the others see of it.
#[must_use]
pub fn control(
    config: &Config,
    broker: &Broker,
    store: Store,
    inbound: Inbound,
    (unhooked, notices, changes, publisher): (Unhooked, Notices, Changes, Publisher),
) -> (SessionTask, Session) {
    let state = State::WaitingForBroker;
    let (view, seen) = watch::channel(View { state: state.clone(), own: None, client: None });
    let (control, controls) = mpsc::channel(CONTROLS);
    let phone = Phone::open(&store.phone());
    let acks = Arc::new(Acks::default());
    let appearance = Appearance::new(config.whatsapp_mark_online);
    let session = Session {
        id: inbound.session.clone(),
        path: config.whatsapp_session_path.display().to_string(),
        view: seen,
        phone: phone.clone(),
        acks: Arc::clone(&acks),
        appearance: appearance.clone(),
        control,
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
        watchdog: Watchdog::new(Limits { silence: config.whatsapp_silence, deafness: config.whatsapp_probe_every }),
        phone,
        acks,
        appearance,
        view,
        control: controls,
        signals: mpsc::channel(SIGNALS),
        state,
        life: None,
        lives: 0,
        begun: Instant::now(),
        short_lives: 0,
        next_life: None,
        broker_away_since: None,
        pairing_code_until: None,
        codes_until: None,
        left_for_broker: 0,
        #[cfg(feature = "simulator")]
        simulated_phone: tokio::task::JoinSet::new(),
    };
    (task, session)
}

impl SessionTask {
    /// Lives until the shutdown.
    ///
    /// # Errors
    /// If the keys cannot be opened or wiped.
    pub async fn run(mut self, shutdown: CancellationToken, commands_done: CancellationToken) -> anyhow::Result<()> {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let waits_for_broker = self.state == State::WaitingForBroker;
            let signal = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(told) = self.signals.1.recv() => {
                    self.hear(told).await?;
                    continue;
                }
                () = over(&mut self.life) => {
                    // What the client said last explains its end, and is in the queue by now.
                    while let Ok(told) = self.signals.1.try_recv() {
                        self.hear(told).await?;
                    }
                    self.end_life().await;
                    Signal::LifeEnded
                }
                Some(control) = self.control.recv() => {
                    self.obey(control).await?;
                    continue;
                }
                () = self.broker.wait_until_ready(), if waits_for_broker => Signal::BrokerReady,
                () = at(self.next_life) => {
                    self.begin_life().await?;
                    continue;
                }
                _ = look.tick(), if !waits_for_broker => match self.look() {
                    Some(signal) => signal,
                    None => continue,
                },
            };
            self.step(signal).await?;
        }
        // A send under way needs its acknowledgement still.
        let _ = timeout(PATIENCE_WITH_COMMANDS, commands_done.cancelled()).await;
        self.end_life().await;
        self.keep_phone(true);
        Ok(())
    }

    /// A signal of a life that is over says nothing about the one that is.
    async fn hear(&mut self, (life, signal): LifeSignal) -> anyhow::Result<()> {
        if self.life.as_ref().is_some_and(|now| now.number == life) {
            self.step(signal).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, control: Control) -> anyhow::Result<()> {
        // A caller that has gone needs no answer.
        match control {
            Control::Restart(answer) => {
                self.step(Signal::RestartAsked).await?;
                let _ = answer.send(());
            }
            Control::Logout(answer) => {
                let has_keys = self.view.borrow().own.is_some();
                let was_paired = has_keys && !self.is_logged_out();
                if has_keys {
                    self.step(Signal::LogoutAsked).await?;
                }
                let _ = answer.send(LoggedOut { was_paired });
            }
            Control::Passkey(ask, answer) => self.on_passkey(ask, answer).await?,
        }
        Ok(())
    }

    fn is_logged_out(&self) -> bool {
        matches!(self.state, State::Ended(super::state::End::LoggedOut { .. }))
    }

    /// What no event tells.
    fn look(&mut self) -> Option<Signal> {
        if self.broker.is_connected() {
            self.broker_away_since = None;
        } else {
            let since = *self.broker_away_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.config.broker_wait {
                return Some(Signal::BrokerLost);
            }
        }
        if let Some(signal) = self.deadline() {
            return Some(signal);
        }
        self.look_at_phone();
        let client = &self.life.as_ref()?.client;
        let lost = self.state == State::Connected && !(client.is_connected() && client.is_logged_in());
        if lost {
            return Some(Signal::ConnectionLost("the connection to WhatsApp was lost".to_owned()));
        }
        match self.state {
            State::Connecting | State::Connected | State::Reconnecting { .. } => {
                self.watchdog.look(client).map(Signal::Silent)
            }
            // Who waits for a phone hears nothing for long.
            State::Pairing { .. } | State::WaitingForBroker | State::Ended(_) => None,
        }
    }

    async fn step(&mut self, mut signal: Signal) -> anyhow::Result<()> {
        self.set_deadlines(&mut signal);
        self.tell_of(&signal);
        let (state, action) = next(self.state.clone(), signal);
        match action {
            Action::Nothing => self.enter(state),
            Action::BeginLife => {
                self.enter(state);
                self.begin_life().await?;
            }
            Action::BeginLifeLater => {
                self.enter(state);
                self.end_life().await;
                self.begin_life_later();
            }
            Action::BeginAnew => {
                self.end_life().await;
                self.wipe()?;
                self.enter(state);
                self.begin_life().await?;
            }
            Action::EndLife => {
                self.enter(state);
                self.end_life().await;
            }
            Action::LogOut => {
                self.log_out().await?;
                // Last: whoever sees it may rely on the keys being gone.
                self.enter(state);
            }
            Action::ConfirmPasskey => {
                self.enter(state);
                self.confirm_passkey();
            }
        }
        Ok(())
    }

    /// Shows the state to everybody; what is no change is no event.
    fn enter(&mut self, state: State) {
        let own = self.life.as_ref().map(|life| self.own_of(&life.client));
        self.view.send_modify(|view| {
            view.state = state.clone();
            if let Some(own) = own {
                view.own = own;
            }
        });
        if state.passkey() != self.state.passkey() && *state.passkey() != Passkey::None {
            self.tell_of_passkey(state.passkey());
        }
        if state.looks_like(&self.state) {
            self.state = state;
            return;
        }
        if state == State::WaitingForBroker {
            self.left_for_broker += 1;
            tracing::warn!(session.id = %self.inbound.session, times = self.left_for_broker, "leaving WhatsApp, which keeps the messages, until NATS is back");
        }
        self.publisher.metrics.entered(&self.inbound.session, self.state.status(), state.status());
        tell(&self.inbound.session, &state);
        self.changes.add(&self.inbound.session, &state);
        if let Some(code) = state.qr_code() {
            self.show(code);
        }
        self.state = state;
    }

    fn show(&mut self, code: &str) {
        qr::show(code);
        #[cfg(feature = "simulator")]
        if let Some(url) = &self.config.whatsapp_url {
            while self.simulated_phone.try_join_next().is_some() {}
            self.simulated_phone.spawn(super::simulated_phone::show(url.clone(), code.to_owned()));
        }
    }
}

/// One line for each change, without the code: who reads a log must not be able to pair.
fn tell(session: &kurir_contract::session::SessionId, state: &State) {
    let name = state.status().as_str();
    match state.reason() {
        Some(reason) => {
            tracing::info!(session.id = %session, session.status = name, "session {session} is {name}: {reason}")
        }
        None => tracing::info!(session.id = %session, session.status = name, "session {session} is {name}"),
    }
}

/// When the run loop of the life that is has ended; never without one.
async fn over(life: &mut Option<Life>) {
    match life {
        Some(life) => life.over().await,
        None => pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
