//! A WhatsApp session: one account, its keys, and the client that lives on them.
//!
//! `run` is the task that owns a session. It turns what happens into signals, lets `state` decide and does what that
//! says; everybody else sees a [`Session`]. `life` makes a client, `http` bounds what it waits for, `listen` hears its
//! events, `watchdog` sees that WhatsApp is silent, `phone` when the phone was there, `appearance` keeps the account from
//! looking online, `store` keeps its keys under a `lease`, `breaker` gives up a life that could not keep a message,
//! `status` tells the world, `qr` shows a code in the terminal, `passkey` is the ceremony of accounts that are linked by
//! passkey only, `restriction` what WhatsApp does not let it do.

pub mod appearance;
pub mod breaker;
pub mod gate;
mod http;
pub mod lease;
mod life;
mod listen;
pub mod passkey;
pub mod phone;
mod qr;
pub mod restriction;
mod run;
#[cfg(feature = "simulator")]
mod simulated_phone;
pub mod state;
pub mod status;
pub mod store;
pub mod watchdog;

pub use run::{SessionTask, control};

use appearance::Appearance;

use crate::outbound::acks::Acks;
use kurir_contract::{
    address::ChatJid,
    command::{self, LoggedOut, SessionInfo},
    event::KnownAddresses,
    session::SessionId,
};
use phone::Phone;
use state::State;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};
use whatsapp_rust::Client;

/// A session as the rest of the gateway sees it.
#[derive(Clone)]
pub struct Session {
    pub id: SessionId,
    /// `WHATSAPP_SESSION_PATH` as it was set.
    pub path: String,
    /// What it is at this moment.
    pub view: watch::Receiver<View>,
    /// Sends that wait for WhatsApp's acknowledgement.
    pub acks: Arc<Acks>,
    /// Whether the account appears online.
    pub appearance: Appearance,
    pub phone: Phone,
    control: mpsc::Sender<Control>,
}

/// What a session is at a moment.
#[derive(Clone)]
pub struct View {
    pub state: State,
    /// The own addresses, once paired.
    pub own: Option<Own>,
    /// The client of the life that is.
    pub client: Option<Arc<Client>>,
}

/// The account's own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    pub jid: ChatJid,
    pub lid: Option<ChatJid>,
}

impl Own {
    /// As events name it.
    #[must_use]
    pub fn party(self) -> KnownAddresses {
        KnownAddresses { jid: self.jid.clone(), pn: Some(self.jid), lid: self.lid }
    }
}

/// What a user may ask of a session's life.
pub enum Control {
    Restart(oneshot::Sender<()>),
    Logout(oneshot::Sender<LoggedOut>),
    Passkey(PasskeyAsk, oneshot::Sender<Result<(), PasskeyRefused>>),
}

/// What a user may do for a pairing by passkey.
pub enum PasskeyAsk {
    /// A `PublicKeyCredential` in JSON, as it came.
    Answer(serde_json::Value),
    Confirm,
}

/// Why it was not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyRefused {
    #[error("{0}")]
    Invalid(String),
    /// It is not its turn; nothing changed.
    #[error("{0}")]
    NotNow(String),
    #[error("WhatsApp did not take it: {0}")]
    ByWhatsapp(String),
    #[error("WhatsApp did not answer in time")]
    TimedOut,
}

/// A request that the session's task has not taken in this time is refused; a logout alone may take several seconds.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);

/// The session's task did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the session did not answer in time")]
pub struct NoAnswer;

impl Session {
    /// As the command `status` answers it.
    #[must_use]
    pub fn status(&self) -> SessionInfo {
        let view = self.view.borrow();
        let state = &view.state;
        SessionInfo {
            is_connected: *state == State::Connected,
            qr_code: state.qr_code().map(str::to_owned),
            session_path: self.path.clone(),
            status: state.status(),
            reason: state.reason().map(str::to_owned),
            until: state.until().map(kurir_contract::clock::iso),
            jid: view.own.as_ref().map(|own| own.jid.clone()),
            phone_last_seen: self.phone.last_seen().map(kurir_contract::clock::iso),
            lid: view.own.as_ref().and_then(|own| own.lid.clone()),
            // Of who sends: nothing else is restricted.
            restriction: None,
        }
    }

    /// Where its pairing by passkey stands.
    #[must_use]
    pub fn passkey(&self) -> command::PasskeyProgress {
        self.view.borrow().state.passkey().shown()
    }

    /// Answers or confirms a passkey.
    ///
    /// # Errors
    /// If the session's task does not answer, or began anew meanwhile.
    pub async fn ask_passkey(&self, ask: PasskeyAsk) -> Result<Result<(), PasskeyRefused>, NoAnswer> {
        self.ask(|answer| Control::Passkey(ask, answer)).await
    }

    /// Begins anew after an end, and while nothing is paired; elsewhere it changes nothing.
    ///
    /// # Errors
    /// If the session's task does not answer.
    pub async fn restart(&self) -> Result<(), NoAnswer> {
        self.ask(Control::Restart).await
    }

    /// Ends the session at WhatsApp and wipes its keys.
    ///
    /// # Errors
    /// If the session's task does not answer.
    pub async fn log_out(&self) -> Result<LoggedOut, NoAnswer> {
        self.ask(Control::Logout).await
    }

    async fn ask<T>(&self, control: impl FnOnce(oneshot::Sender<T>) -> Control) -> Result<T, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.control.send(control(answer)).await.map_err(|_| NoAnswer)?;
            answered.await.map_err(|_| NoAnswer)
        };
        tokio::time::timeout(CONTROL_TIMEOUT, asked).await.map_err(|_| NoAnswer)?
    }
}
