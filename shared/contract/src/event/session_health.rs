//! The health of a session that has not ended: `session.silent`, `session.phone_offline`, `session.phone_online`.

use super::EventId;
use crate::session::SessionId;
use serde::{Deserialize, Serialize};

/// `data` of `session.silent`: the connection was open but nothing arrived; the gateway connects again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionSilent {
    /// Seconds since the last stanza; if `noticedBy` is `probe`, since the last stanza that was no answer to a ping.
    pub silent_for_seconds: u64,
    pub noticed_by: NoticedBy,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// `data` of `session.phone_offline`: published once a day. WhatsApp removes this device when the phone has been offline for
/// 14 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PhoneOffline {
    /// When the phone was last online, ISO 8601; null if it is unknown.
    pub last_seen: Option<String>,
    /// Days until WhatsApp removes this device; a part of a day counts as a day.
    pub days_left: u32,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// `data` of `session.phone_online`: a phone that was reported as offline is online again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PhoneOnline {
    /// When the phone was last online, ISO 8601; null if it is unknown.
    pub last_seen: Option<String>,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// What WhatsApp did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum NoticedBy {
    /// The login.
    Login,
    /// A ping, after a time without any stanza.
    Ping,
    /// A request to WhatsApp's servers, after a time in which it answered only pings.
    Probe,
}

impl NoticedBy {
    /// The value as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Ping => "ping",
            Self::Probe => "probe",
        }
    }
}
