//! Which event types an endpoint wants, and the NATS subjects that say the same.

use crate::{event::EventType, session::SessionId, subject};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// `message.received`, or `message.*` (every type that begins with `message.`), or `*` (every type).
///
/// A star stands at the end and for one word or more. Two patterns thus are apart, or one holds the other: NATS refuses
/// a consumer whose filters overlap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct EventPattern(String);

/// What [`EventPattern`] refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no event type: write one as \"message.received\", \"message.*\" for all that begin so, or \"*\"")]
pub struct InvalidPattern(String);

impl EventPattern {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn admits(&self, event: &EventType) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => event.as_str().starts_with(beginning),
            None => self.0 == event.as_str(),
        }
    }

    /// Every type that this one admits, the other does too.
    fn is_part_of(&self, other: &Self) -> bool {
        match other.0.strip_suffix('*') {
            Some(beginning) => self.0.starts_with(beginning),
            None => self == other,
        }
    }

    /// As the tail of a subject.
    fn tail(&self) -> String {
        match self.0.strip_suffix('*') {
            Some(beginning) => format!("{beginning}>"),
            None => self.0.clone(),
        }
    }
}

impl FromStr for EventPattern {
    type Err = InvalidPattern;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        // NATS' own way to write it.
        let pattern = pattern.strip_suffix('>').map_or_else(|| pattern.to_owned(), |beginning| format!("{beginning}*"));
        let words = pattern.strip_suffix(".*").unwrap_or(&pattern);
        if pattern == "*" || words.parse::<EventType>().is_ok() {
            Ok(Self(pattern))
        } else {
            Err(InvalidPattern(pattern))
        }
    }
}

impl TryFrom<String> for EventPattern {
    type Error = InvalidPattern;

    fn try_from(pattern: String) -> Result<Self, Self::Error> {
        pattern.parse()
    }
}

impl From<EventPattern> for String {
    fn from(pattern: EventPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The filter subjects of a consumer on EVENTS; none of them overlap. No sessions, or no patterns, means all.
#[must_use]
pub fn subjects(sessions: &[SessionId], events: &[EventPattern]) -> Vec<String> {
    let all = EventPattern("*".to_owned());
    let mut events: Vec<&EventPattern> = if events.is_empty() { vec![&all] } else { events.iter().collect() };
    events.sort_unstable();
    events.dedup();
    let wider = events.clone();
    events.retain(|one| !wider.iter().any(|other| one != other && one.is_part_of(other)));
    if sessions.is_empty() && events == [&all] {
        return vec![subject::ALL_EVENTS.to_owned()];
    }
    let mut sessions: Vec<Option<&SessionId>> =
        if sessions.is_empty() { vec![None] } else { sessions.iter().map(Some).collect() };
    sessions.sort_unstable();
    sessions.dedup();
    let mut subjects = Vec::with_capacity(sessions.len() * events.len());
    for session in sessions {
        subjects.extend(events.iter().map(|event| subject::events_of(session, &event.tail())));
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(names: &[&str]) -> Vec<EventPattern> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_star_stands_at_the_end_or_nowhere() {
        for good in ["*", "message.*", "message.received", "a.b.*", "message.>"] {
            assert!(good.parse::<EventPattern>().is_ok(), "{good}");
        }
        for bad in ["", "*.received", "mess*", "a.*.b", "message.", "a b", ".*", "**"] {
            assert!(bad.parse::<EventPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_admits_what_begins_as_it_says() {
        for (pattern, event, admitted) in [
            ("*", "a.b", true),
            ("message.*", "message.received", true),
            ("message.*", "message", false),
            ("message.*", "messages.received", false),
            ("message.sent", "message.sent", true),
            ("message.sent", "message.sent.again", false),
        ] {
            let (pattern, event): (EventPattern, EventType) = (pattern.parse().unwrap(), event.parse().unwrap());
            assert_eq!(pattern.admits(&event), admitted, "{pattern} {event}");
        }
    }

    #[test]
    fn subjects_never_overlap() {
        let sales: SessionId = "sales".parse().unwrap();
        for (sessions, events, expected) in [
            (vec![], patterns(&[]), vec!["whatsapp.events.>"]),
            (vec![], patterns(&["message.received"]), vec!["whatsapp.events.*.message.received"]),
            (vec![], patterns(&["message.*", "message.received", "*"]), vec!["whatsapp.events.>"]),
            (
                vec![sales.clone(), sales.clone()],
                patterns(&["message.received", "message.*", "call.received", "messages"]),
                vec![
                    "whatsapp.events.sales.call.received",
                    "whatsapp.events.sales.message.>",
                    "whatsapp.events.sales.messages",
                ],
            ),
            (
                vec![SessionId::default(), sales],
                patterns(&["test"]),
                vec!["whatsapp.events.default.test", "whatsapp.events.sales.test"],
            ),
        ] {
            assert_eq!(subjects(&sessions, &events), expected);
        }
    }
}
