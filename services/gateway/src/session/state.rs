//! Where a session stands, and what a signal makes of it: `next(state, signal)` is pure, one row of its test each.
//!
//! A disconnected client cannot run again, so a session has lives: each is a new client on the keys that are there.
//! While a life lasts the client reconnects by itself; at an end nothing reconnects until a user asks.

use super::{
    passkey::{self, Passkey},
    watchdog::Silence,
};
use kurir_contract::session::SessionStatus;
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// The gateway is away from WhatsApp on purpose, and comes when the broker does.
    WaitingForBroker,
    Connecting,
    /// Not paired. Between two codes there is none, and none while a passkey is asked for.
    Pairing {
        qr_code: Option<String>,
        passkey: Passkey,
    },
    Connected,
    Reconnecting {
        reason: String,
    },
    Ended(End),
}

/// The ends, none of which is left by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    LoggedOut { reason: String },
    Replaced,
    Banned { reason: String, until: Option<OffsetDateTime> },
    Locked { reason: String },
    Outdated,
    Refused { reason: String },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    QrCode(String),
    /// No code is left; `life_goes_on` if a pairing code still waits to be typed.
    QrCodesExhausted {
        life_goes_on: bool,
    },
    /// Nobody typed the pairing code in time.
    PairingCodeExpired,
    /// What the client got when it was paired was not right.
    PairingFailed(String),
    Passkey(passkey::Step),
    /// The phone has accepted this device; the client logs in next.
    Paired,
    Connected,
    /// The client is no longer logged in, and tries again by itself.
    ConnectionLost(String),
    /// WhatsApp said itself that it wants no connection now; the client tries again by itself.
    TurnedAway(String),
    Ended(End),
    /// The connection is open, and nothing comes.
    Silent(Silence),
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
pub type LifeSignal = (u64, Signal);

/// What must be done at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
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
pub fn next(state: State, signal: Signal) -> (State, Action) {
    use Action::{BeginAnew, BeginLife, BeginLifeLater, EndLife, LogOut, Nothing};
    use State::{Connected, Connecting, Ended, Pairing, Reconnecting, WaitingForBroker};
    let stay = |state| (state, Nothing);
    let pairing = |passkey| Pairing { qr_code: None, passkey };
    // A ceremony does not outlive its connection.
    let broken = |why: &str| pairing(Passkey::Failed { error: why.to_owned() });
    match (state, signal) {
        // Asked by a user, in any state.
        (_, Signal::LogoutAsked) => {
            (Ended(End::LoggedOut { reason: "a user logged this device out".to_owned() }), LogOut)
        }
        (Ended(End::LoggedOut { .. }), Signal::RestartAsked) => (Connecting, BeginAnew),
        (Ended(_) | Reconnecting { .. }, Signal::RestartAsked) => (Connecting, BeginLife),
        (Pairing { .. }, Signal::RestartAsked) => (pairing(Passkey::None), BeginLife),
        (state, Signal::RestartAsked) => stay(state),

        // At an end, and away on purpose, whatever the last client still says changes nothing.
        (state @ Ended(_), _) => stay(state),
        (WaitingForBroker, Signal::BrokerReady) => (Connecting, BeginLife),
        (state @ WaitingForBroker, _) => stay(state),

        (_, Signal::Ended(end)) => (Ended(end), EndLife),
        // Nothing can be lost while nobody is paired, and the code in the terminal stays good.
        (state @ Pairing { .. }, Signal::BrokerLost) => stay(state),
        (_, Signal::BrokerLost) => (WaitingForBroker, EndLife),
        (state, Signal::BrokerReady) => stay(state),

        (_, Signal::Connected) => (Connected, Nothing),
        (Pairing { passkey, qr_code }, Signal::Passkey(step)) => {
            let (passkey, action) = passkey::next(passkey, step);
            // What changes nothing takes no code away.
            let keeps_code = action == Nothing && !passkey.is_under_way();
            (Pairing { qr_code: qr_code.filter(|_| keeps_code), passkey }, action)
        }
        (Connecting, Signal::Passkey(step @ passkey::Step::Requested(_))) => {
            (pairing(passkey::next(Passkey::None, step).0), Nothing)
        }
        (state, Signal::Passkey(_)) => stay(state),
        (Pairing { passkey, .. }, Signal::ConnectionLost(_) | Signal::TurnedAway(_)) if passkey.is_under_way() => {
            (broken("the connection to WhatsApp was lost"), BeginLife)
        }
        (Pairing { passkey, .. }, Signal::LifeEnded) if passkey.is_under_way() => {
            (broken("the connection to WhatsApp ended"), BeginLifeLater)
        }
        (Pairing { passkey, .. }, Signal::PairingFailed(error)) if passkey.is_under_way() => {
            (broken(&error), BeginLife)
        }
        // The client closes the connection when its codes are used up.
        (Pairing { passkey, .. }, Signal::QrCodesExhausted { life_goes_on: false }) if passkey.is_under_way() => {
            (broken("it was not done in time"), Nothing)
        }
        (state @ Pairing { .. }, Signal::QrCode(_) | Signal::QrCodesExhausted { .. } | Signal::PairingCodeExpired)
            if state.passkey().is_under_way() =>
        {
            stay(state)
        }

        (Pairing { passkey, .. }, Signal::QrCode(code)) => (Pairing { qr_code: Some(code), passkey }, Nothing),
        (_, Signal::QrCode(code)) => (Pairing { qr_code: Some(code), passkey: Passkey::None }, Nothing),
        (Pairing { .. }, Signal::Paired) => (Connecting, Nothing),
        (state, Signal::Paired) => stay(state),

        (
            Pairing { passkey, .. },
            Signal::QrCodesExhausted { .. } | Signal::ConnectionLost(_) | Signal::TurnedAway(_),
        ) => (pairing(passkey), Nothing),
        (Pairing { passkey, .. }, Signal::PairingCodeExpired) => (pairing(passkey), BeginLife),
        (Pairing { passkey, .. }, Signal::LifeEnded) => (pairing(passkey), BeginLifeLater),
        (state, Signal::PairingFailed(_)) => stay(state),
        (state, Signal::QrCodesExhausted { .. } | Signal::PairingCodeExpired) => stay(state),

        // What WhatsApp says explains a loss best, then what came first: the rest is its echo.
        (_, Signal::TurnedAway(reason)) => (Reconnecting { reason }, Nothing),
        (state @ Reconnecting { .. }, Signal::ConnectionLost(_)) => stay(state),
        (_, Signal::ConnectionLost(reason)) => (Reconnecting { reason }, Nothing),
        (state @ Pairing { .. }, Signal::Silent(_)) => stay(state),
        (_, Signal::NotKept(error)) => {
            (Reconnecting { reason: format!("the session's folder takes no messages: {error}") }, BeginLifeLater)
        }
        (_, Signal::Silent(silence)) => {
            let reason = format!("WhatsApp was silent for {} s", silence.lasted.as_secs());
            (Reconnecting { reason }, BeginLife)
        }
        (state @ Reconnecting { .. }, Signal::LifeEnded) => (state, BeginLifeLater),
        (Connecting | Connected, Signal::LifeEnded) => {
            (Reconnecting { reason: "the client ended without a reason".to_owned() }, BeginLifeLater)
        }
    }
}

impl State {
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        match self {
            Self::WaitingForBroker => SessionStatus::WaitingForBroker,
            Self::Connecting => SessionStatus::Connecting,
            Self::Pairing { .. } => SessionStatus::Pairing,
            Self::Connected => SessionStatus::Connected,
            Self::Reconnecting { .. } => SessionStatus::Reconnecting,
            Self::Ended(End::LoggedOut { .. }) => SessionStatus::LoggedOut,
            Self::Ended(End::Replaced) => SessionStatus::Replaced,
            Self::Ended(End::Banned { .. }) => SessionStatus::Banned,
            Self::Ended(End::Locked { .. }) => SessionStatus::Locked,
            Self::Ended(End::Outdated) => SessionStatus::Outdated,
            Self::Ended(End::Refused { .. }) => SessionStatus::Refused,
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
    pub fn passkey(&self) -> &Passkey {
        match self {
            Self::Pairing { passkey, .. } => passkey,
            Self::WaitingForBroker
            | Self::Connecting
            | Self::Connected
            | Self::Reconnecting { .. }
            | Self::Ended(_) => &Passkey::None,
        }
    }

    /// Whether the other says the same, but for a passkey.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
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
                End::LoggedOut { reason }
                | End::Banned { reason, .. }
                | End::Locked { reason }
                | End::Refused { reason },
            ) => Some(reason),
            Self::Ended(End::Replaced) => Some("another client took over this device's connection"),
            Self::Ended(End::Outdated) => Some("WhatsApp no longer accepts this version of the client: update Kurir"),
        }
    }

    /// When a ban ends.
    #[must_use]
    pub fn until(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Ended(End::Banned { until, .. }) => *until,
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
