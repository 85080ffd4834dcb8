//! Where a session stands, and what a signal makes of it: `next(state, signal)` is pure, one row of its test each.
//!
//! A disconnected client cannot run again, so a session has lives: each is a new client on the keys that are there.
//! While a life lasts the client reconnects by itself; at an end nothing reconnects until a user asks.

use super::{
    passkey::{self, PasskeyCeremony},
    watchdog::DetectedSilence,
};
use kurir_contract::session::SessionStatus;
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq)]
pub enum SessionState {
    /// The gateway is away from WhatsApp on purpose, and comes when the broker does.
    WaitingForBroker,
    Connecting,
    /// Not paired. Between two codes there is none, and none while a passkey is asked for.
    Pairing {
        qr_code: Option<String>,
        passkey: PasskeyCeremony,
    },
    Connected,
    Reconnecting {
        reason: String,
    },
    Ended(SessionEnd),
}

/// The ends, none of which is left by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEnd {
    LoggedOut { reason: String },
    Replaced,
    Banned { reason: String, until: Option<OffsetDateTime> },
    Locked { reason: String },
    Outdated,
    Refused { reason: String },
}

#[derive(Clone, Debug, PartialEq)]
pub enum SessionSignal {
    QrCode(String),
    /// No code is left; `life_goes_on` if a pairing code still waits to be typed.
    QrCodesExhausted {
        life_goes_on: bool,
    },
    /// Nobody typed the pairing code in time.
    PairingCodeExpired,
    /// What the client got when it was paired was not right.
    PairingFailed(String),
    Passkey(passkey::PasskeyStep),
    /// The phone has accepted this device; the client logs in next.
    Paired,
    Connected,
    /// The client is no longer logged in, and tries again by itself.
    ConnectionLost(String),
    /// WhatsApp said itself that it wants no connection now; the client tries again by itself.
    TurnedAway(String),
    Ended(SessionEnd),
    /// The connection is open, and nothing comes.
    Silent(DetectedSilence),
    /// The client's run loop is over.
    LifeEnded,
    /// A message could not be kept until it would be stored.
    NotKept(String),
    /// The broker has been away for longer than messages may wait.
    BrokerLost,
    /// The broker is there, and its streams with it.
    BrokerReady,
    RestartAsked,
    LogoutAsked,
}

/// A signal, and the number of the life that gave it: late ones of an earlier life are told apart by it.
pub type ConnectionSignal = (u64, SessionSignal);

/// What must be done at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionAction {
    Nothing,
    /// Ends the life that is, if one is, and begins the next.
    BeginLife,
    /// Ends it, and begins the next after a pause: a failure must not become a loop.
    BeginLifeLater,
    /// Wipes the keys first: the next life pairs.
    BeginAnew,
    EndLife,
    /// Tells WhatsApp if it can, ends the life and wipes the keys.
    LogOut,
    /// Tells WhatsApp that the codes of phone and session are the same.
    ConfirmPasskey,
}

/// The step that `signal` makes.
#[must_use]
pub fn next_state(state: SessionState, signal: SessionSignal) -> (SessionState, SessionAction) {
    use SessionAction::{BeginAnew, BeginLife, BeginLifeLater, EndLife, LogOut, Nothing};
    use SessionState::{Connected, Connecting, Ended, Pairing, Reconnecting, WaitingForBroker};
    let stay = |state| (state, Nothing);
    let pairing = |passkey| Pairing { qr_code: None, passkey };
    // A ceremony does not outlive its connection.
    let broken = |why: &str| pairing(PasskeyCeremony::Failed { error: why.to_owned() });
    match (state, signal) {
        // Asked by a user, in any state.
        (_, SessionSignal::LogoutAsked) => {
            (Ended(SessionEnd::LoggedOut { reason: "a user logged this device out".to_owned() }), LogOut)
        }
        (Ended(SessionEnd::LoggedOut { .. }), SessionSignal::RestartAsked) => (Connecting, BeginAnew),
        (Ended(_) | Reconnecting { .. }, SessionSignal::RestartAsked) => (Connecting, BeginLife),
        (Pairing { .. }, SessionSignal::RestartAsked) => (pairing(PasskeyCeremony::None), BeginLife),
        (state, SessionSignal::RestartAsked) => stay(state),

        // At an end, and away on purpose, whatever the last client still says changes nothing.
        (state @ Ended(_), _) => stay(state),
        (WaitingForBroker, SessionSignal::BrokerReady) => (Connecting, BeginLife),
        (state @ WaitingForBroker, _) => stay(state),

        (_, SessionSignal::Ended(end)) => (Ended(end), EndLife),
        // Nothing can be lost while nobody is paired, and the code in the terminal stays good.
        (state @ Pairing { .. }, SessionSignal::BrokerLost) => stay(state),
        (_, SessionSignal::BrokerLost) => (WaitingForBroker, EndLife),
        (state, SessionSignal::BrokerReady) => stay(state),

        (_, SessionSignal::Connected) => (Connected, Nothing),
        (Pairing { passkey, qr_code }, SessionSignal::Passkey(step)) => {
            let (passkey, action) = passkey::next_step(passkey, step);
            // What changes nothing takes no code away.
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
            (broken("the connection to WhatsApp was lost"), BeginLife)
        }
        (Pairing { passkey, .. }, SessionSignal::LifeEnded) if passkey.is_under_way() => {
            (broken("the connection to WhatsApp ended"), BeginLifeLater)
        }
        (Pairing { passkey, .. }, SessionSignal::PairingFailed(error)) if passkey.is_under_way() => {
            (broken(&error), BeginLife)
        }
        // The client closes the connection when its codes are used up.
        (Pairing { passkey, .. }, SessionSignal::QrCodesExhausted { life_goes_on: false })
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
        (Pairing { passkey, .. }, SessionSignal::PairingCodeExpired) => (pairing(passkey), BeginLife),
        (Pairing { passkey, .. }, SessionSignal::LifeEnded) => (pairing(passkey), BeginLifeLater),
        (state, SessionSignal::PairingFailed(_)) => stay(state),
        (state, SessionSignal::QrCodesExhausted { .. } | SessionSignal::PairingCodeExpired) => stay(state),

        // What WhatsApp says explains a loss best, then what came first: the rest is its echo.
        (_, SessionSignal::TurnedAway(reason)) => (Reconnecting { reason }, Nothing),
        (state @ Reconnecting { .. }, SessionSignal::ConnectionLost(_)) => stay(state),
        (_, SessionSignal::ConnectionLost(reason)) => (Reconnecting { reason }, Nothing),
        (state @ Pairing { .. }, SessionSignal::Silent(_)) => stay(state),
        (_, SessionSignal::NotKept(error)) => {
            (Reconnecting { reason: format!("the session's folder takes no messages: {error}") }, BeginLifeLater)
        }
        (_, SessionSignal::Silent(silence)) => {
            let reason = format!("WhatsApp was silent for {} s", silence.lasted.as_secs());
            (Reconnecting { reason }, BeginLife)
        }
        (state @ Reconnecting { .. }, SessionSignal::LifeEnded) => (state, BeginLifeLater),
        (Connecting | Connected, SessionSignal::LifeEnded) => {
            (Reconnecting { reason: "the client ended without a reason".to_owned() }, BeginLifeLater)
        }
    }
}

impl SessionState {
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        match self {
            Self::WaitingForBroker => SessionStatus::WaitingForBroker,
            Self::Connecting => SessionStatus::Connecting,
            Self::Pairing { .. } => SessionStatus::Pairing,
            Self::Connected => SessionStatus::Connected,
            Self::Reconnecting { .. } => SessionStatus::Reconnecting,
            Self::Ended(SessionEnd::LoggedOut { .. }) => SessionStatus::LoggedOut,
            Self::Ended(SessionEnd::Replaced) => SessionStatus::Replaced,
            Self::Ended(SessionEnd::Banned { .. }) => SessionStatus::Banned,
            Self::Ended(SessionEnd::Locked { .. }) => SessionStatus::Locked,
            Self::Ended(SessionEnd::Outdated) => SessionStatus::Outdated,
            Self::Ended(SessionEnd::Refused { .. }) => SessionStatus::Refused,
        }
    }

    #[must_use]
    pub fn qr_code(&self) -> Option<&str> {
        match self {
            Self::Pairing { qr_code, .. } => qr_code.as_deref(),
            Self::WaitingForBroker
            | Self::Connecting
            | Self::Connected
            | Self::Reconnecting { .. }
            | Self::Ended(_) => None,
        }
    }

    /// Where a pairing by passkey stands.
    #[must_use]
    pub fn passkey(&self) -> &PasskeyCeremony {
        match self {
            Self::Pairing { passkey, .. } => passkey,
            Self::WaitingForBroker
            | Self::Connecting
            | Self::Connected
            | Self::Reconnecting { .. }
            | Self::Ended(_) => &PasskeyCeremony::None,
        }
    }

    /// Whether the other says the same, but for a passkey.
    #[must_use]
    pub fn is_same_status(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pairing { qr_code: one, .. }, Self::Pairing { qr_code: another, .. }) => one == another,
            (one, another) => one == another,
        }
    }

    /// Why, in words for a user.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Connecting | Self::Pairing { .. } | Self::Connected => None,
            Self::WaitingForBroker => Some("NATS is away; WhatsApp keeps the messages meanwhile"),
            Self::Reconnecting { reason }
            | Self::Ended(
                SessionEnd::LoggedOut { reason }
                | SessionEnd::Banned { reason, .. }
                | SessionEnd::Locked { reason }
                | SessionEnd::Refused { reason },
            ) => Some(reason),
            Self::Ended(SessionEnd::Replaced) => Some("another client took over this device's connection"),
            Self::Ended(SessionEnd::Outdated) => {
                Some("WhatsApp no longer accepts this version of the client: update Kurir")
            }
        }
    }

    /// When a ban ends.
    #[must_use]
    pub fn until(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Ended(SessionEnd::Banned { until, .. }) => *until,
            Self::WaitingForBroker
            | Self::Connecting
            | Self::Pairing { .. }
            | Self::Connected
            | Self::Reconnecting { .. }
            | Self::Ended(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
