//! The state of a session, and how a signal changes it. `next_state(state, signal)` is pure; its test has a row for
//! each step.
//!
//! A client that has disconnected cannot run again, so a session has one connection after the other: each is a new
//! client with the same keys. While a connection lasts, the client reconnects by itself. After an end nothing
//! reconnects until a user asks for it.

use super::{
    passkey::{self, PasskeyCeremony, PasskeyEffect},
    watchdog::DetectedSilence,
};
use crate::storage::StorageProblem;
use kurir_contract::session::SessionStatus;
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq)]
pub enum SessionState {
    /// The gateway stays away from WhatsApp on purpose, and connects when the broker is there.
    WaitingForBroker,
    /// The gateway stays away from WhatsApp on purpose, and connects when NATS stores again.
    CannotStore(StorageProblem),
    Connecting,
    /// The session is not paired. There is no code between two codes, and none while WhatsApp asks for a passkey.
    Pairing {
        qr_code: Option<String>,
        passkey: PasskeyCeremony,
    },
    Connected,
    Reconnecting {
        reason: String,
    },
    /// The session's proxy cannot be reached, or refuses. The client tries again by itself.
    ProxyAway {
        reason: String,
    },
    Ended(SessionEnd),
}

/// The ways in which a session ends. It leaves none of them by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEnd {
    LoggedOut {
        reason: String,
    },
    Replaced,
    Banned {
        reason: String,
        until: Option<OffsetDateTime>,
    },
    Locked {
        reason: String,
    },
    Outdated,
    Refused {
        reason: String,
    },
    /// The file with the keys cannot be used.
    Damaged {
        reason: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum SessionSignal {
    QrCode(String),
    /// No code is left. `can_still_pair`: a pairing code still waits to be typed.
    QrCodesExhausted {
        can_still_pair: bool,
    },
    /// Nobody typed the pairing code in time.
    PairingCodeExpired,
    /// The client received invalid data when it was paired.
    PairingFailed(String),
    Passkey(passkey::PasskeyStep),
    /// The phone has accepted this device; the client logs in next.
    Paired,
    Connected,
    /// The client is no longer logged in and tries again by itself.
    ConnectionLost(String),
    /// WhatsApp refuses connections at the moment; the client tries again by itself.
    TurnedAway(String),
    /// The session's proxy could not be used; the client tries again by itself.
    ProxyFailed(String),
    Ended(SessionEnd),
    /// The connection is open, and nothing arrives on it.
    Silent(DetectedSilence),
    /// The client's run loop has ended.
    ConnectionEnded,
    /// The session's folder did not take a message that waits to be published.
    NotKept(String),
    /// The broker has been away for longer than messages may wait.
    BrokerLost,
    /// NATS is there and stores no events.
    CannotStore(StorageProblem),
    /// The broker and its streams are there, and it stores.
    BrokerReady,
    RestartAsked,
    LogoutAsked,
}

/// A signal with the number of the connection that sent it, so that late signals of an earlier connection are
/// recognised.
pub type ConnectionSignal = (u64, SessionSignal);

/// What the session task must do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionAction {
    Nothing,
    /// Closes the connection, if there is one, and opens the next one.
    Connect,
    /// Closes the connection and opens the next one after a pause, so that a failure does not become a loop.
    ConnectLater,
    /// Wipes the keys and opens a connection that pairs again.
    ConnectUnpaired,
    Disconnect,
    /// Logs out at WhatsApp if possible, closes the connection and wipes the keys.
    LogOut,
    /// Tells WhatsApp that phone and session show the same code.
    ConfirmPasskey,
}

/// The state after `signal`, and what the session task must do.
#[must_use]
pub fn next_state(state: SessionState, signal: SessionSignal) -> (SessionState, SessionAction) {
    use SessionAction::{ConfirmPasskey, Connect, ConnectLater, ConnectUnpaired, Disconnect, LogOut, Nothing};
    use SessionState::{CannotStore, Connected, Connecting, Ended, Pairing, ProxyAway, Reconnecting, WaitingForBroker};
    let stay = |state| (state, Nothing);
    let pairing = |passkey| Pairing { qr_code: None, passkey };
    // A pairing by passkey ends with its connection.
    let broken = |why: &str| pairing(PasskeyCeremony::Failed { error: why.to_owned() });
    match (state, signal) {
        // A user may ask for these in any state.
        (_, SessionSignal::LogoutAsked) => {
            (Ended(SessionEnd::LoggedOut { reason: "a user logged this device out".to_owned() }), LogOut)
        }
        (Ended(SessionEnd::LoggedOut { .. }), SessionSignal::RestartAsked) => (Connecting, ConnectUnpaired),
        (Ended(_) | Reconnecting { .. } | ProxyAway { .. }, SessionSignal::RestartAsked) => (Connecting, Connect),
        (Pairing { .. }, SessionSignal::RestartAsked) => (pairing(PasskeyCeremony::None), Connect),
        (state, SessionSignal::RestartAsked) => stay(state),

        // At an end, and while the gateway stays away on purpose, a late signal of the last client changes nothing.
        (state @ Ended(_), _) => stay(state),
        (WaitingForBroker | CannotStore(_), SessionSignal::BrokerReady) => (Connecting, Connect),
        (CannotStore(_), SessionSignal::CannotStore(problem)) => stay(CannotStore(problem)),
        (state @ (WaitingForBroker | CannotStore(_)), _) => stay(state),

        (_, SessionSignal::Ended(end)) => (Ended(end), Disconnect),
        // Nothing can be lost while no account is paired, and the code in the terminal stays valid.
        (state @ Pairing { .. }, SessionSignal::BrokerLost | SessionSignal::CannotStore(_)) => stay(state),
        (_, SessionSignal::CannotStore(problem)) => (CannotStore(problem), Disconnect),
        (_, SessionSignal::BrokerLost) => (WaitingForBroker, Disconnect),
        (state, SessionSignal::BrokerReady) => stay(state),

        (_, SessionSignal::Connected) => (Connected, Nothing),
        // Until the proxy serves again, everything that fails fails because of it.
        (_, SessionSignal::ProxyFailed(reason)) => (ProxyAway { reason }, Nothing),
        (state @ ProxyAway { .. }, SessionSignal::ConnectionLost(_)) => stay(state),
        (state @ ProxyAway { .. }, SessionSignal::ConnectionEnded) => (state, ConnectLater),
        (Pairing { passkey, qr_code }, SessionSignal::Passkey(step)) => {
            let (passkey, effect) = passkey::next_step(passkey, step);
            let action = match effect {
                PasskeyEffect::Nothing => Nothing,
                PasskeyEffect::Reconnect => Connect,
                PasskeyEffect::Confirm => ConfirmPasskey,
            };
            // A step that changes nothing keeps the QR code.
            let keeps_code = action == Nothing && !passkey.is_under_way();
            (Pairing { qr_code: qr_code.filter(|_| keeps_code), passkey }, action)
        }
        (Connecting, SessionSignal::Passkey(step @ passkey::PasskeyStep::Requested(_))) => {
            (pairing(passkey::next_step(PasskeyCeremony::None, step).0), Nothing)
        }
        (state, SessionSignal::Passkey(_)) => stay(state),
        (Pairing { passkey, .. }, SessionSignal::ConnectionLost(_) | SessionSignal::TurnedAway(_))
            if passkey.is_under_way() =>
        {
            (broken("the connection to WhatsApp was lost"), Connect)
        }
        (Pairing { passkey, .. }, SessionSignal::ConnectionEnded) if passkey.is_under_way() => {
            (broken("the connection to WhatsApp ended"), ConnectLater)
        }
        (Pairing { passkey, .. }, SessionSignal::PairingFailed(error)) if passkey.is_under_way() => {
            (broken(&error), Connect)
        }
        // The client closes the connection when its codes are used up.
        (Pairing { passkey, .. }, SessionSignal::QrCodesExhausted { can_still_pair: false })
            if passkey.is_under_way() =>
        {
            (broken("it was not done in time"), Nothing)
        }
        (
            state @ Pairing { .. },
            SessionSignal::QrCode(_) | SessionSignal::QrCodesExhausted { .. } | SessionSignal::PairingCodeExpired,
        ) if state.passkey().is_under_way() => stay(state),

        (Pairing { passkey, .. }, SessionSignal::QrCode(code)) => (Pairing { qr_code: Some(code), passkey }, Nothing),
        (_, SessionSignal::QrCode(code)) => (Pairing { qr_code: Some(code), passkey: PasskeyCeremony::None }, Nothing),
        (Pairing { .. }, SessionSignal::Paired) => (Connecting, Nothing),
        (state, SessionSignal::Paired) => stay(state),

        (
            Pairing { passkey, .. },
            SessionSignal::QrCodesExhausted { .. } | SessionSignal::ConnectionLost(_) | SessionSignal::TurnedAway(_),
        ) => (pairing(passkey), Nothing),
        (Pairing { passkey, .. }, SessionSignal::PairingCodeExpired) => (pairing(passkey), Connect),
        (Pairing { passkey, .. }, SessionSignal::ConnectionEnded) => (pairing(passkey), ConnectLater),
        (state, SessionSignal::PairingFailed(_)) => stay(state),
        (state, SessionSignal::QrCodesExhausted { .. } | SessionSignal::PairingCodeExpired) => stay(state),

        // WhatsApp's own reason explains a loss best, then the first reason: later ones follow from it.
        (_, SessionSignal::TurnedAway(reason)) => (Reconnecting { reason }, Nothing),
        (state @ Reconnecting { .. }, SessionSignal::ConnectionLost(_)) => stay(state),
        (_, SessionSignal::ConnectionLost(reason)) => (Reconnecting { reason }, Nothing),
        (state @ Pairing { .. }, SessionSignal::Silent(_)) => stay(state),
        (_, SessionSignal::NotKept(error)) => {
            (Reconnecting { reason: format!("the session's folder takes no messages: {error}") }, ConnectLater)
        }
        (_, SessionSignal::Silent(silence)) => {
            let reason = format!("WhatsApp was silent for {} s", silence.lasted.as_secs());
            (Reconnecting { reason }, Connect)
        }
        (state @ Reconnecting { .. }, SessionSignal::ConnectionEnded) => (state, ConnectLater),
        (Connecting | Connected, SessionSignal::ConnectionEnded) => {
            (Reconnecting { reason: "the client ended without a reason".to_owned() }, ConnectLater)
        }
    }
}

impl SessionState {
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        match self {
            Self::WaitingForBroker => SessionStatus::WaitingForBroker,
            Self::CannotStore(problem) => problem.status(),
            Self::Connecting => SessionStatus::Connecting,
            Self::Pairing { .. } => SessionStatus::Pairing,
            Self::Connected => SessionStatus::Connected,
            Self::Reconnecting { .. } => SessionStatus::Reconnecting,
            Self::ProxyAway { .. } => SessionStatus::ProxyUnavailable,
            Self::Ended(SessionEnd::LoggedOut { .. }) => SessionStatus::LoggedOut,
            Self::Ended(SessionEnd::Replaced) => SessionStatus::Replaced,
            Self::Ended(SessionEnd::Banned { .. }) => SessionStatus::Banned,
            Self::Ended(SessionEnd::Locked { .. }) => SessionStatus::Locked,
            Self::Ended(SessionEnd::Outdated) => SessionStatus::Outdated,
            Self::Ended(SessionEnd::Refused { .. }) => SessionStatus::Refused,
            Self::Ended(SessionEnd::Damaged { .. }) => SessionStatus::Damaged,
        }
    }

    #[must_use]
    pub fn qr_code(&self) -> Option<&str> {
        match self {
            Self::Pairing { qr_code, .. } => qr_code.as_deref(),
            Self::WaitingForBroker
            | Self::CannotStore(_)
            | Self::Connecting
            | Self::Connected
            | Self::Reconnecting { .. }
            | Self::ProxyAway { .. }
            | Self::Ended(_) => None,
        }
    }

    /// How far a pairing by passkey is.
    #[must_use]
    pub fn passkey(&self) -> &PasskeyCeremony {
        match self {
            Self::Pairing { passkey, .. } => passkey,
            Self::WaitingForBroker
            | Self::CannotStore(_)
            | Self::Connecting
            | Self::Connected
            | Self::Reconnecting { .. }
            | Self::ProxyAway { .. }
            | Self::Ended(_) => &PasskeyCeremony::None,
        }
    }

    /// Whether the two are equal except for the passkey.
    #[must_use]
    pub fn is_same_status(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pairing { qr_code: one, .. }, Self::Pairing { qr_code: another, .. }) => one == another,
            (one, another) => one == another,
        }
    }

    /// The reason, in words for a user.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Connecting | Self::Pairing { .. } | Self::Connected => None,
            Self::WaitingForBroker => Some("NATS is away; WhatsApp keeps the messages meanwhile"),
            Self::CannotStore(problem) => Some(&problem.reason),
            Self::Reconnecting { reason }
            | Self::ProxyAway { reason }
            | Self::Ended(
                SessionEnd::LoggedOut { reason }
                | SessionEnd::Banned { reason, .. }
                | SessionEnd::Locked { reason }
                | SessionEnd::Refused { reason }
                | SessionEnd::Damaged { reason },
            ) => Some(reason),
            Self::Ended(SessionEnd::Replaced) => Some("another client took over this device's connection"),
            Self::Ended(SessionEnd::Outdated) => {
                Some("WhatsApp no longer accepts this version of the client: update Kurir")
            }
        }
    }

    /// The time at which a ban ends.
    #[must_use]
    pub fn until(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Ended(SessionEnd::Banned { until, .. }) => *until,
            Self::WaitingForBroker
            | Self::CannotStore(_)
            | Self::Connecting
            | Self::Pairing { .. }
            | Self::Connected
            | Self::Reconnecting { .. }
            | Self::ProxyAway { .. }
            | Self::Ended(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
