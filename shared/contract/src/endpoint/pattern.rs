//! Patterns of event types, and the NATS subjects that match the same events.

use crate::{event::EventType, session::SessionId, subject};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A pattern of event types: `message.received`, `message.*` (every type that begins with `message.`), or `*` (every type).
///
/// A star is the last word and stands for one or more words. Two patterns are therefore disjoint, or one includes the
/// other. NATS refuses a consumer whose filters overlap otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct EventPattern(String);

/// The error of a text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no event type: write one as \"message.received\", \"message.*\" for all that begin so, or \"*\"")]
pub struct InvalidPattern(String);

impl EventPattern {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an event type matches.
    #[must_use]
    pub fn admits(&self, event: &EventType) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => event.as_str().starts_with(beginning),
            None => self.0 == event.as_str(),
        }
    }

    /// Whether the other pattern admits every type that this one admits.
    fn is_part_of(&self, other: &Self) -> bool {
        match other.0.strip_suffix('*') {
            Some(beginning) => self.0.starts_with(beginning),
            None => self == other,
        }
    }

    /// The tail of a subject that matches the same types.
    fn subject_tail(&self) -> String {
        match self.0.strip_suffix('*') {
            Some(beginning) => format!("{beginning}>"),
            None => self.0.clone(),
        }
    }
}

impl FromStr for EventPattern {
    type Err = InvalidPattern;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        // `message.>` is how NATS writes it.
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

/// The filter subjects of a consumer on EVENTS. They do not overlap. No sessions means all sessions, no patterns all types.
#[must_use]
pub fn filter_subjects(sessions: &[SessionId], events: &[EventPattern]) -> Vec<String> {
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
        subjects.extend(events.iter().map(|event| subject::events_of(session, &event.subject_tail())));
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
            assert_eq!(filter_subjects(&sessions, &events), expected);
        }
    }
}
