//! `connection.status`, the `session.…` events of a session's ends, and `session.restricted`.

use super::{EventId, EventType};
use crate::session::{RestrictionKind, SessionId, SessionStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `data` of `connection.status`: published at every change of a session's state and for each new QR code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectionStatus {
    pub is_connected: bool,
    /// The text of the QR code; null unless a phone must scan it.
    pub qr_code: Option<String>,
    pub timestamp: String,
    pub session: SessionId,
    pub status: SessionStatus,
    /// Why the session ended or lost its connection; else null.
    pub reason: Option<String>,
    /// When a ban ends, ISO 8601; null if there is no ban or its end is unknown.
    pub until: Option<String>,
}

/// `data` of `session.logged_out`, `.replaced`, `.banned`, `.locked`, `.outdated` and `.refused`: a person must act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionEnded {
    /// Why the session ended.
    pub reason: Option<String>,
    /// When a ban ends, ISO 8601; null if there is no ban or its end is unknown.
    pub until: Option<String>,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// `data` of `session.restricted`: WhatsApp accepts no messages to people with whom the account has no chat; such
/// messages wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionRestricted {
    /// Whether the restriction holds; false when it ended.
    pub active: bool,
    pub kind: RestrictionKind,
    /// When it began, ISO 8601.
    pub since: String,
    /// When it ends or Kurir checks it again, ISO 8601.
    pub until: String,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// `data` of `session.created`, `.started`, `.stopped` and `.deleted`: a caller of the API changed a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionChanged {
    pub session: SessionId,
    /// The session's name for people.
    pub name: Option<String>,
    /// The session's metadata at that moment.
    pub session_metadata: BTreeMap<String, String>,
    /// ISO 8601.
    pub timestamp: String,
}

impl SessionEnded {
    /// The event that reports an end; none for a status that is no end.
    #[must_use]
    pub fn event_type(status: SessionStatus) -> Option<EventType> {
        match status {
            SessionStatus::LoggedOut => Some(EventType::SESSION_LOGGED_OUT),
            SessionStatus::Replaced => Some(EventType::SESSION_REPLACED),
            SessionStatus::Banned => Some(EventType::SESSION_BANNED),
            SessionStatus::Locked => Some(EventType::SESSION_LOCKED),
            SessionStatus::Outdated => Some(EventType::SESSION_OUTDATED),
            SessionStatus::Refused => Some(EventType::SESSION_REFUSED),
            SessionStatus::Damaged => Some(EventType::SESSION_DAMAGED),
            SessionStatus::Connecting
            | SessionStatus::Pairing
            | SessionStatus::Connected
            | SessionStatus::Reconnecting
            | SessionStatus::ProxyUnavailable
            | SessionStatus::WaitingForBroker
            | SessionStatus::StorageFull
            | SessionStatus::StorageRefused
            | SessionStatus::StorageUnavailable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_event_and_nothing_else_has() {
        for status in [
            SessionStatus::Connecting,
            SessionStatus::Pairing,
            SessionStatus::Connected,
            SessionStatus::Reconnecting,
            SessionStatus::ProxyUnavailable,
            SessionStatus::WaitingForBroker,
            SessionStatus::StorageFull,
            SessionStatus::StorageRefused,
            SessionStatus::StorageUnavailable,
            SessionStatus::LoggedOut,
            SessionStatus::Replaced,
            SessionStatus::Banned,
            SessionStatus::Locked,
            SessionStatus::Outdated,
            SessionStatus::Refused,
        ] {
            let expected = status.is_end().then(|| format!("session.{}", status.as_str()));
            assert_eq!(SessionEnded::event_type(status).map(String::from), expected);
        }
    }
}
