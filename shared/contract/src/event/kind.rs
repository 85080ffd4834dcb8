//! The type of an event: words joined by dots, which are the tail of its NATS subject.

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};

/// `message.received`, `custom.event`, …: `[A-Za-z0-9_-]+` joined by dots, at most 128 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct EventType(Cow<'static, str>);

/// What [`EventType`] refuses; the text is the contract's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid eventType")]
pub struct InvalidEventType;

/// The longest event type in characters; NATS would take more, a reader would not.
const MAX_LENGTH: usize = 128;

impl EventType {
    pub const MESSAGE_RECEIVED: Self = Self(Cow::Borrowed("message.received"));
    pub const MESSAGE_SENT: Self = Self(Cow::Borrowed("message.sent"));
    pub const CONNECTION_STATUS: Self = Self(Cow::Borrowed("connection.status"));
    pub const ERROR_OCCURRED: Self = Self(Cow::Borrowed("error.occurred"));
    pub const ENDPOINT_FAILING: Self = Self(Cow::Borrowed("endpoint.failing"));
    pub const ENDPOINT_DISABLED: Self = Self(Cow::Borrowed("endpoint.disabled"));
    pub const ENDPOINT_RECOVERED: Self = Self(Cow::Borrowed("endpoint.recovered"));
    pub const SESSION_RESTRICTED: Self = Self(Cow::Borrowed("session.restricted"));
    pub const MESSAGE_QUEUED: Self = Self(Cow::Borrowed("message.queued"));
    pub const MESSAGE_ACK: Self = Self(Cow::Borrowed("message.ack"));
    pub const MESSAGE_REACTION: Self = Self(Cow::Borrowed("message.reaction"));
    pub const MESSAGE_EDITED: Self = Self(Cow::Borrowed("message.edited"));
    pub const MESSAGE_REVOKED: Self = Self(Cow::Borrowed("message.revoked"));
    pub const MESSAGE_UNDECRYPTABLE: Self = Self(Cow::Borrowed("message.undecryptable"));
    pub const POLL_VOTE: Self = Self(Cow::Borrowed("poll.vote"));
    pub const GROUP_UPDATED: Self = Self(Cow::Borrowed("group.updated"));
    pub const GROUP_PARTICIPANTS: Self = Self(Cow::Borrowed("group.participants"));
    pub const CALL_RECEIVED: Self = Self(Cow::Borrowed("call.received"));
    pub const CALL_MISSED: Self = Self(Cow::Borrowed("call.missed"));
    pub const CALL_ENDED: Self = Self(Cow::Borrowed("call.ended"));
    pub const PRESENCE_UPDATED: Self = Self(Cow::Borrowed("presence.updated"));
    pub const CONTACT_UPDATED: Self = Self(Cow::Borrowed("contact.updated"));
    pub const CONTACT_IDENTITY_CHANGED: Self = Self(Cow::Borrowed("contact.identity_changed"));
    pub const SESSION_LOGGED_OUT: Self = Self(Cow::Borrowed("session.logged_out"));
    pub const SESSION_REPLACED: Self = Self(Cow::Borrowed("session.replaced"));
    pub const SESSION_BANNED: Self = Self(Cow::Borrowed("session.banned"));
    pub const SESSION_LOCKED: Self = Self(Cow::Borrowed("session.locked"));
    pub const SESSION_OUTDATED: Self = Self(Cow::Borrowed("session.outdated"));
    pub const SESSION_REFUSED: Self = Self(Cow::Borrowed("session.refused"));
    pub const JOB_PROGRESS: Self = Self(Cow::Borrowed("job.progress"));
    pub const JOB_DONE: Self = Self(Cow::Borrowed("job.done"));
    pub const JOB_CANCELLED: Self = Self(Cow::Borrowed("job.cancelled"));
    pub const JOB_FAILED: Self = Self(Cow::Borrowed("job.failed"));
    pub const SESSION_PASSKEY: Self = Self(Cow::Borrowed("session.passkey"));
    pub const SESSION_SILENT: Self = Self(Cow::Borrowed("session.silent"));
    pub const SESSION_PHONE_OFFLINE: Self = Self(Cow::Borrowed("session.phone_offline"));
    pub const SESSION_PHONE_ONLINE: Self = Self(Cow::Borrowed("session.phone_online"));
    pub const HISTORY_SYNC: Self = Self(Cow::Borrowed("history.sync"));
    pub const MEDIA_DOWNLOADED: Self = Self(Cow::Borrowed("media.downloaded"));
    /// Of what a foreign publisher stored under a subject that names no type.
    pub const UNKNOWN: Self = Self(Cow::Borrowed("unknown"));

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Events about deliveries themselves. If delivering one of these fails, nothing more is emitted: two dead
    /// endpoints would feed each other.
    #[must_use]
    pub fn is_about_delivery(&self) -> bool {
        self.0 == "error.occurred" || self.0.starts_with("endpoint.")
    }
}

impl FromStr for EventType {
    type Err = InvalidEventType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(name.to_owned())
    }
}

impl TryFrom<String> for EventType {
    type Error = InvalidEventType;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if name.len() <= MAX_LENGTH && name.split('.').all(is_word) {
            Ok(Self(Cow::Owned(name)))
        } else {
            Err(InvalidEventType)
        }
    }
}

impl From<EventType> for String {
    fn from(kind: EventType) -> Self {
        kind.0.into_owned()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_type_is_always_a_subject() {
        for good in ["test", "custom.event", "a-b_c.D.9", &"x".repeat(128)] {
            assert_eq!(good.parse::<EventType>().map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.>", "*", "ü", &"x".repeat(129)] {
            assert_eq!(bad.parse::<EventType>(), Err(InvalidEventType), "{bad:?}");
        }
    }
}
