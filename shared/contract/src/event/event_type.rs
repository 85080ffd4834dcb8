//! The type of an event: words joined by dots, which are the tail of its NATS subject.

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};

/// `message.received`, `custom.event`, …: words of `[A-Za-z0-9_-]+` joined by dots, at most 128 characters.
///
/// The types that Kurir makes are constants; [`table`](super::table) lists them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct EventType(Cow<'static, str>);

/// The error of a text that is no event type. Its message is the contract's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid eventType")]
pub struct InvalidEventType;

/// The longest event type in characters. NATS would take a longer one; a person would not read it.
const MAX_LENGTH: usize = 128;

impl EventType {
    /// The type of an event that another program stored under a subject without a type.
    pub const UNKNOWN: Self = Self::from_static("unknown");

    pub(super) const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the event reports on deliveries. If such an event cannot be delivered, nothing more is published: two dead
    /// endpoints would feed each other.
    #[must_use]
    pub fn is_about_delivery(&self) -> bool {
        *self == Self::ERROR_OCCURRED || self.0.starts_with("endpoint.")
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
    fn from(event_type: EventType) -> Self {
        event_type.0.into_owned()
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

    #[test]
    fn only_events_about_deliveries_are_about_deliveries() {
        let about = EventType::ALL.into_iter().filter(EventType::is_about_delivery).map(String::from);
        let expected = ["error.occurred", "endpoint.failing", "endpoint.disabled", "endpoint.recovered"];
        assert_eq!(about.collect::<Vec<_>>(), expected);
    }
}
