//! A WhatsApp session: one account, its keys, and the client that lives on them.
//!
//! `task` is the task that owns a session. It turns what happens into signals, lets `state` decide and does what that
//! says; everybody else sees a [`SessionHandle`]. `connection` makes a client, `http` bounds what it waits for, `listener` hears its
//! events, `watchdog` sees that WhatsApp is silent, `phone` when the phone was there, `appearance` keeps the account from
//! looking online, `store` keeps its keys under a `lease`, `abort` gives up a life that could not keep a message,
//! `status_queue` tells the world, `qr` shows a code in the terminal, `passkey` is the ceremony of accounts that are linked by
//! passkey only, `restriction` what WhatsApp does not let it do.

pub mod abort;
pub mod appearance;
pub mod client_tasks;
mod connection;
pub mod gated_transport;
mod guarded_http;
pub mod http;
pub mod lease;
mod listener;
pub mod passkey;
pub mod phone;
mod qr;
pub mod restriction;
#[cfg(feature = "simulator")]
mod simulated_phone;
pub mod state;
pub mod status_queue;
pub mod store;
mod task;
pub mod watchdog;
pub mod whatsapp_hosts;

pub use task::{SessionTask, new_session};

use appearance::OnlineAppearance;

use crate::outbound::acks::PendingAcks;
use kurir_contract::{
    address::ChatJid,
    command::{self, LoggedOut, SessionInfo},
    event::KnownAddresses,
    session::SessionId,
};
use phone::PhonePresence;
use state::SessionState;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};
use whatsapp_hosts::WhatsappHosts;
use whatsapp_rust::Client;

/// A session as the rest of the gateway sees it.
#[derive(Clone)]
pub struct SessionHandle {
    pub id: SessionId,
    /// `WHATSAPP_SESSION_PATH` as it was set.
    pub path: String,
    /// What it is at this moment.
    pub view: watch::Receiver<SessionView>,
    /// Sends that wait for WhatsApp's acknowledgement.
    pub acks: Arc<PendingAcks>,
    /// Whether the account appears online.
    pub appearance: OnlineAppearance,
    pub phone: PhonePresence,
    /// The hosts that media are fetched from and put to.
    pub hosts: WhatsappHosts,
    control: mpsc::Sender<ControlRequest>,
}

/// What a session is at a moment.
#[derive(Clone)]
pub struct SessionView {
    pub state: SessionState,
    /// The own addresses, once paired.
    pub own: Option<OwnAddresses>,
    /// The client of the life that is.
    pub client: Option<Arc<Client>>,
}

/// The account's own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddresses {
    pub jid: ChatJid,
    pub lid: Option<ChatJid>,
}

impl OwnAddresses {
    /// As events name it.
    #[must_use]
    pub fn known_addresses(self) -> KnownAddresses {
        KnownAddresses { jid: self.jid.clone(), pn: Some(self.jid), lid: self.lid }
    }
}

/// What a user may ask of a session's life.
pub enum ControlRequest {
    Restart(oneshot::Sender<()>),
    Logout(oneshot::Sender<LoggedOut>),
    Passkey(PasskeyAction, oneshot::Sender<Result<(), PasskeyRefusal>>),
}

/// What a user may do for a pairing by passkey.
pub enum PasskeyAction {
    /// A `PublicKeyCredential` in JSON, as it came.
    Answer(serde_json::Value),
    Confirm,
}

/// Why it was not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyRefusal {
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
pub struct SessionTimeout;

impl SessionHandle {
    /// As the command `status` answers it.
    #[must_use]
    pub fn session_info(&self) -> SessionInfo {
        let view = self.view.borrow();
        let state = &view.state;
        SessionInfo {
            is_connected: *state == SessionState::Connected,
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
    pub fn passkey_progress(&self) -> command::PasskeyProgress {
        self.view.borrow().state.passkey().progress()
    }

    /// Answers or confirms a passkey.
    ///
    /// # Errors
    /// If the session's task does not answer, or began anew meanwhile.
    pub async fn act_on_passkey(&self, ask: PasskeyAction) -> Result<Result<(), PasskeyRefusal>, SessionTimeout> {
        self.request(|answer| ControlRequest::Passkey(ask, answer)).await
    }

    /// Begins anew after an end, and while nothing is paired; elsewhere it changes nothing.
    ///
    /// # Errors
    /// If the session's task does not answer.
    pub async fn restart(&self) -> Result<(), SessionTimeout> {
        self.request(ControlRequest::Restart).await
    }

    /// Ends the session at WhatsApp and wipes its keys.
    ///
    /// # Errors
    /// If the session's task does not answer.
    pub async fn log_out(&self) -> Result<LoggedOut, SessionTimeout> {
        self.request(ControlRequest::Logout).await
    }

    async fn request<T>(
        &self,
        control: impl FnOnce(oneshot::Sender<T>) -> ControlRequest,
    ) -> Result<T, SessionTimeout> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.control.send(control(answer)).await.map_err(|_| SessionTimeout)?;
            answered.await.map_err(|_| SessionTimeout)
        };
        tokio::time::timeout(CONTROL_TIMEOUT, asked).await.map_err(|_| SessionTimeout)?
    }
}
