//! How well a session does that is not at an end: `session.silent`, `session.phone_offline`, `session.phone_online`.

use super::EventId;
use crate::session::SessionId;
use serde::{Deserialize, Serialize};

/// `data` of `session.silent`: the connection was open and nothing came; the gateway connects again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionSilent {
    /// Since the last stanza; noticed by `probe`: since the last one that was no answer.
    pub silent_for_seconds: u64,
    pub noticed_by: NoticedBy,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// `data` of `session.phone_offline`, once a day: WhatsApp removes this device when the phone has been away for 14 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PhoneOffline {
    /// ISO 8601.
    pub last_seen: Option<String>,
    /// Until this device is removed; a day that has begun counts.
    pub days_left: u32,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// `data` of `session.phone_online`: a phone that was warned of is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PhoneOnline {
    /// ISO 8601.
    pub last_seen: Option<String>,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// What stayed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum NoticedBy {
    /// The login.
    Login,
    /// A ping, after a time without anything.
    Ping,
    /// A question to WhatsApp's servers, after a time in which only pings were answered.
    Probe,
}

impl NoticedBy {
    /// As it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Ping => "ping",
            Self::Probe => "probe",
        }
    }
}
