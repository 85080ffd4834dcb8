//! A WhatsApp session: its name, and its states as other processes see them.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// The bucket with a key for each gateway that is alive. A key vanishes [`GATEWAY_LEASE_LASTS`] after it was written last.
pub const GATEWAYS_BUCKET: &str = "gateways";
pub const GATEWAY_LEASE_LASTS: Duration = Duration::from_secs(10);
/// The bucket that says for each session which gateway holds it.
pub const SESSION_HOLDERS_BUCKET: &str = "session_holders";

/// The name of a session: 1 to 64 characters of `[A-Za-z0-9_-]`, which fit into a subject and a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct SessionId(String);

/// The error of a text that is no session's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no session name: use 1 to 64 letters, digits, '-' or '_'")]
pub struct InvalidSessionId(String);

impl SessionId {
    /// The session of the contract's routes.
    pub const DEFAULT: &str = "default";

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SessionId {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let fits =
            (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits { Ok(Self(name.to_owned())) } else { Err(InvalidSessionId(name.to_owned())) }
    }
}

impl TryFrom<String> for SessionId {
    type Error = InvalidSessionId;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What WhatsApp forbids an account that wrote to too many strangers. The session stays connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RestrictionKind {
    /// The account may not write to people with whom it has no chat.
    TimeLock,
    /// The account may not begin more chats.
    NewChatCap,
}

/// The step of a pairing by passkey. WhatsApp links some accounts only in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PasskeyState {
    /// WhatsApp asks for no passkey.
    None,
    /// The account's passkey must sign WhatsApp's request.
    Requested,
    /// WhatsApp has the signature; the phone is next.
    Answered,
    /// Phone and session show a code; the user compares them.
    Confirm,
    /// The codes were the same; WhatsApp pairs the device.
    Confirmed,
    /// The pairing failed. A new QR code follows by itself.
    Failed,
}

impl PasskeyState {
    /// The state as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Requested => "requested",
            Self::Answered => "answered",
            Self::Confirm => "confirm",
            Self::Confirmed => "confirmed",
            Self::Failed => "failed",
        }
    }

    /// The user's next step, as a text.
    #[must_use]
    pub fn what_to_do(self) -> &'static str {
        match self {
            Self::None => "nothing: WhatsApp asks for no passkey",
            Self::Requested => {
                "sign `options` with the account's passkey on https://web.whatsapp.com and POST the result to passkey/response; docs/passkey.md has the lines to paste there"
            }
            Self::Answered => "wait for the code: the phone is next",
            Self::Confirm => {
                "compare `code` with the one on the phone; POST passkey/confirm if they are the same, restart if they are not"
            }
            Self::Confirmed => "wait: WhatsApp pairs this device",
            Self::Failed => "scan the new QR code to start over",
        }
    }
}

/// The state of a session. The last seven are ends: the gateway does not connect again until a user asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SessionStatus {
    /// The gateway opens a connection to WhatsApp.
    Connecting,
    /// Not paired: a phone must scan the QR code.
    Pairing,
    /// Logged in: events arrive.
    Connected,
    /// The connection was lost; the gateway connects again by itself.
    Reconnecting,
    /// The session's proxy cannot be reached, or refuses. The gateway tries on, and never connects without it.
    ProxyUnavailable,
    /// The gateway left WhatsApp because the broker is away; WhatsApp keeps the messages meanwhile.
    WaitingForBroker,
    /// The gateway left WhatsApp because NATS has no room for events; WhatsApp keeps the messages meanwhile.
    StorageFull,
    /// The gateway left WhatsApp because NATS refuses events for another reason; WhatsApp keeps the messages meanwhile.
    StorageRefused,
    /// The gateway left WhatsApp because NATS is there and its JetStream is not, for example without a quorum; WhatsApp keeps
    /// the messages meanwhile.
    StorageUnavailable,
    /// The phone, WhatsApp or a user removed this device. The user must pair again.
    LoggedOut,
    /// Another client took over this device's connection.
    Replaced,
    /// WhatsApp banned the number, for a time or forever.
    Banned,
    /// WhatsApp locked the account; the phone shows what to do.
    Locked,
    /// WhatsApp no longer accepts this version of the client: the operator must update Kurir.
    Outdated,
    /// WhatsApp refused the login with an unknown code.
    Refused,
    /// The file with the session's keys cannot be used: the operator must restore it, or the user pairs again after a logout.
    Damaged,
}

impl SessionStatus {
    /// The state as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Pairing => "pairing",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::ProxyUnavailable => "proxy_unavailable",
            Self::WaitingForBroker => "waiting_for_broker",
            Self::StorageFull => "storage_full",
            Self::StorageRefused => "storage_refused",
            Self::StorageUnavailable => "storage_unavailable",
            Self::LoggedOut => "logged_out",
            Self::Replaced => "replaced",
            Self::Banned => "banned",
            Self::Locked => "locked",
            Self::Outdated => "outdated",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
        }
    }

    /// Whether the gateway does nothing more in this state until a user asks for it.
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::LoggedOut
            | Self::Replaced
            | Self::Banned
            | Self::Locked
            | Self::Outdated
            | Self::Refused
            | Self::Damaged => true,
            Self::Connecting
            | Self::Pairing
            | Self::Connected
            | Self::Reconnecting
            | Self::ProxyUnavailable
            | Self::WaitingForBroker
            | Self::StorageFull
            | Self::StorageRefused
            | Self::StorageUnavailable => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_name_fits_into_a_subject() {
        for good in ["default", "sales-2", "A_b"] {
            assert_eq!(good.parse::<SessionId>().map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "a.b", "a b", "*", ">", "ü", &"x".repeat(65)] {
            assert_eq!(bad.parse::<SessionId>(), Err(InvalidSessionId(bad.to_owned())), "{bad:?}");
        }
    }

    #[test]
    fn a_state_of_a_passkey_is_called_in_text_as_in_json() {
        use PasskeyState as P;
        for state in [P::None, P::Requested, P::Answered, P::Confirm, P::Confirmed, P::Failed] {
            assert_eq!(serde_json::to_value(state).ok(), Some(state.as_str().into()));
        }
    }

    #[test]
    fn a_status_is_called_in_text_as_in_json() {
        use SessionStatus as S;
        for status in [
            S::Connecting,
            S::Pairing,
            S::Connected,
            S::Reconnecting,
            S::ProxyUnavailable,
            S::WaitingForBroker,
            S::StorageFull,
            S::StorageRefused,
            S::StorageUnavailable,
            S::LoggedOut,
            S::Replaced,
            S::Banned,
            S::Locked,
            S::Outdated,
            S::Refused,
            S::Damaged,
        ] {
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
        }
    }
}
