//! What a WhatsApp session is: one account, its keys, its state.
//!
//! `state` decides, and `connection` acts on it. The rest of the gateway uses a [`SessionHandle`]. `store` keeps the keys under
//! a `lease`, `acks` are the sends that wait for WhatsApp, `watchdog` finds a dead connection, `phone` knows when the phone
//! was there, `appearance` keeps the account from looking online, `abort` ends a connection that lost a message,
//! `client_tasks` watches the client's tasks and ends them, `http` moves files, from and to the `whatsapp_hosts` only,
//! `status_queue` publishes the changes, `passkey` is the ceremony of accounts that are linked by passkey only, and
//! `restriction` is what WhatsApp does not let the account do, and `adoption`
//! takes keys over that `baileys` reads. `session_guard` says whether this gateway may act, and `session_holder` which one may.

pub mod abort;
pub mod acks;
pub mod adoption;
pub mod appearance;
pub mod baileys;
pub mod client_tasks;
mod guarded_http;
pub mod http;
pub mod journal;
pub mod lease;
pub mod passkey;
pub mod phone;
pub mod restriction;
pub mod session_guard;
pub mod session_holder;
pub mod state;
pub mod status_queue;
pub mod store;
pub mod watchdog;
pub mod whatsapp_hosts;

use appearance::OnlineAppearance;

use acks::PendingAcks;
use client_tasks::ClientTasks;
use kurir_contract::{
    address::ChatJid,
    command::{self, LoggedOut, SessionInfo},
    event::KnownAddresses,
    session::SessionId,
};
use phone::PhonePresence;
use session_guard::SessionGuard;
use state::SessionState;
use std::{path::PathBuf, sync::Arc, time::Duration};
use store::IncomingKeys;
use tokio::sync::{mpsc, oneshot, watch};
use whatsapp_hosts::WhatsappHosts;
use whatsapp_rust::Client;

/// A session for the rest of the gateway.
#[derive(Clone)]
pub struct SessionHandle {
    pub id: SessionId,
    /// The setting `WHATSAPP_SESSION_PATH`.
    pub path: String,
    /// The session's own folder.
    pub folder: PathBuf,
    /// The session's current state.
    pub view: watch::Receiver<SessionView>,
    /// Sends that wait for WhatsApp's acknowledgement.
    pub acks: Arc<PendingAcks>,
    /// Whether the account appears online.
    pub appearance: OnlineAppearance,
    pub phone: PhonePresence,
    /// The hosts from which files are downloaded, and to which they are uploaded.
    pub hosts: WhatsappHosts,
    pub control: mpsc::Sender<ControlRequest>,
    /// Shut while another gateway may hold the session.
    pub guard: SessionGuard,
}

/// A session at one moment.
#[derive(Clone)]
pub struct SessionView {
    pub state: SessionState,
    /// The account's own addresses, once it is paired.
    pub own: Option<OwnAddresses>,
    /// The client of the current connection.
    pub client: Option<Arc<Client>>,
    /// The tasks of that client.
    pub client_tasks: ClientTasks,
    /// Whether it connects only when keys have come that were made elsewhere.
    pub awaits_keys: bool,
}

/// The account's own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddresses {
    pub jid: ChatJid,
    pub lid: Option<ChatJid>,
}

impl OwnAddresses {
    /// The same in the form of events.
    #[must_use]
    pub fn known_addresses(self) -> KnownAddresses {
        KnownAddresses { jid: self.jid.clone(), pn: Some(self.jid), lid: self.lid }
    }
}

/// What a user may ask the session's task to do.
pub enum ControlRequest {
    Restart(oneshot::Sender<()>),
    Logout(oneshot::Sender<LoggedOut>),
    Passkey(PasskeyAction, oneshot::Sender<Result<(), PasskeyRefusal>>),
    Install(IncomingKeys, oneshot::Sender<Result<(), InstallRefusal>>),
}

/// Why keys were not installed. Nothing changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is paired already: log it out first")]
pub struct InstallRefusal;

/// What a user may do in a pairing by passkey.
pub enum PasskeyAction {
    /// The `PublicKeyCredential` in JSON, as the user sent it.
    Answer(serde_json::Value),
    Confirm,
}

/// Why the passkey action was not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyRefusal {
    #[error("{0}")]
    Invalid(String),
    /// The action does not fit the current step. Nothing changed.
    #[error("{0}")]
    NotNow(String),
    #[error("WhatsApp did not take it: {0}")]
    ByWhatsapp(String),
    #[error("WhatsApp did not answer in time")]
    TimedOut,
}

/// The session's task takes a request within this time. A logout alone may take several seconds.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);

/// The session's task did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the session did not answer in time")]
pub struct SessionTimeout;

impl SessionHandle {
    /// The answer to the command `status`.
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
            // Only sends are restricted, so the command `status` adds the restriction.
            restriction: None,
        }
    }

    /// How far the pairing by passkey is.
    #[must_use]
    pub fn passkey_progress(&self) -> command::PasskeyProgress {
        self.view.borrow().state.passkey().progress()
    }

    /// Answers or confirms a passkey.
    ///
    /// # Errors
    /// If the session's task does not answer, or started over meanwhile.
    pub async fn act_on_passkey(&self, ask: PasskeyAction) -> Result<Result<(), PasskeyRefusal>, SessionTimeout> {
        self.request(|answer| ControlRequest::Passkey(ask, answer)).await
    }

    /// Connects again after an end, and while nothing is paired. In other states it does nothing.
    ///
    /// # Errors
    /// If the session's task does not answer.
    pub async fn restart(&self) -> Result<(), SessionTimeout> {
        self.request(ControlRequest::Restart).await
    }

    /// Gives the session keys and connects it with them.
    ///
    /// # Errors
    /// If the session's task does not answer, or the session is paired.
    pub async fn install(&self, keys: IncomingKeys) -> Result<Result<(), InstallRefusal>, SessionTimeout> {
        self.request(|answer| ControlRequest::Install(keys, answer)).await
    }

    /// Logs the session out at WhatsApp and wipes its keys.
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
