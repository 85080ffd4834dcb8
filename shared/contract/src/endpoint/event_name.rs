//! The names of events that a user may write for an endpoint: Kurir's own, and those of the endpoint's format. Pure.
//!
//! A name that matches nothing is refused: the endpoint would exist, and nothing would ever arrive.

use super::{EventPattern, PayloadFormat};
use crate::event::EventType;

/// Events that callers publish themselves have names that begin so, where an endpoint is to choose them.
pub const CUSTOM: &str = "custom";
/// The event of a test whose caller chose none.
const TEST: &str = "test";

/// A name of another program, and Kurir's events that it writes under this name.
type DialectName = (&'static str, &'static [EventType]);

const WAHA: &[DialectName] = &[
    ("message", &[EventType::MESSAGE_RECEIVED]),
    ("message.any", &[EventType::MESSAGE_RECEIVED, EventType::MESSAGE_SENT]),
    ("message.ack", &[EventType::MESSAGE_ACK]),
    ("message.reaction", &[EventType::MESSAGE_REACTION]),
    ("message.edited", &[EventType::MESSAGE_EDITED]),
    ("message.revoked", &[EventType::MESSAGE_REVOKED]),
    ("session.status", &[EventType::CONNECTION_STATUS]),
    ("poll.vote", &[EventType::POLL_VOTE]),
    ("poll.vote.failed", &[EventType::POLL_VOTE]),
    ("call.received", &[EventType::CALL_RECEIVED]),
    ("call.accepted", &[EventType::CALL_ENDED]),
    ("call.rejected", &[EventType::CALL_ENDED]),
    ("group.v2.participants", &[EventType::GROUP_PARTICIPANTS]),
    ("group.v2.update", &[EventType::GROUP_UPDATED]),
    ("presence.update", &[EventType::PRESENCE_UPDATED]),
];

const EVOLUTION: &[DialectName] = &[
    ("messages.upsert", &[EventType::MESSAGE_RECEIVED, EventType::MESSAGE_SENT, EventType::MESSAGE_REACTION]),
    ("send.message", &[EventType::MESSAGE_SENT]),
    ("messages.update", &[EventType::MESSAGE_ACK]),
    ("messages.edited", &[EventType::MESSAGE_EDITED]),
    ("messages.delete", &[EventType::MESSAGE_REVOKED]),
    ("connection.update", &[EventType::CONNECTION_STATUS]),
    ("qrcode.updated", &[EventType::CONNECTION_STATUS]),
    ("call", &[EventType::CALL_RECEIVED, EventType::CALL_MISSED, EventType::CALL_ENDED]),
    ("group-participants.update", &[EventType::GROUP_PARTICIPANTS]),
    ("groups.update", &[EventType::GROUP_UPDATED]),
    ("groups.upsert", &[EventType::GROUP_UPDATED]),
    ("presence.update", &[EventType::PRESENCE_UPDATED]),
];

impl PayloadFormat {
    /// The names of the program whose webhooks this format is; none for Kurir's own formats.
    #[must_use]
    pub fn dialect(self) -> &'static [DialectName] {
        match self {
            Self::Kurir | Self::Cloudevents => &[],
            Self::Waha => WAHA,
            Self::Evolution => EVOLUTION,
        }
    }

    /// Whether an endpoint of this format can receive an event of this type.
    #[must_use]
    pub fn has_counterpart(self, event: &EventType) -> bool {
        let dialect = self.dialect();
        dialect.is_empty() || dialect.iter().any(|(_, events)| events.contains(event))
    }
}

/// Reads a name, in any of its ways to be written, as patterns of Kurir's events.
///
/// # Errors
/// With what is wrong and the nearest name that is right, as the end of the sentence "events …".
pub fn read_event_name(name: &str, format: PayloadFormat) -> Result<Vec<EventPattern>, String> {
    let name = name.trim();
    let dialect = format.dialect();
    let (plain, is_pattern) = (plain_name(name), name.ends_with('*'));
    let named = dialect.iter().filter(|(one, _)| {
        let one = plain_name(one);
        if is_pattern { name != "*" && one.starts_with(&plain) } else { one == plain }
    });
    let mut events: Vec<&EventType> = named.flat_map(|(_, events)| *events).collect();
    let Ok(pattern) = name.parse::<EventPattern>() else {
        return if events.is_empty() { Err(unknown(name, format)) } else { patterns(events) };
    };
    let all = EventType::ALL;
    let own = all.iter().filter(|event| pattern.admits(event));
    if own.clone().next().is_none() && events.is_empty() {
        let is_callers = name == TEST || name == CUSTOM || name.split('.').next() == Some(CUSTOM);
        return if is_callers { Ok(vec![pattern]) } else { Err(unknown(name, format)) };
    }
    if !own.clone().any(|event| format.has_counterpart(event)) && events.is_empty() {
        return Err(format!(
            "names {name:?}, which the format {} does not have: nothing would arrive",
            format.as_str()
        ));
    }
    // A pattern of Kurir's own names also holds for events that a later version adds.
    if events.iter().all(|event| pattern.admits(event)) {
        return Ok(vec![pattern]);
    }
    if own.clone().next().is_none() || !is_pattern {
        return patterns(events);
    }
    events.extend(own);
    patterns(events)
}

fn patterns(events: Vec<&EventType>) -> Result<Vec<EventPattern>, String> {
    let read = |event: &EventType| event.as_str().parse().map_err(|error| format!("{error}"));
    let mut patterns: Vec<EventPattern> = events.into_iter().map(read).collect::<Result<_, _>>()?;
    patterns.sort_unstable();
    patterns.dedup();
    Ok(patterns)
}

/// `MESSAGES_UPSERT` and `messages.upsert` are one name.
fn plain_name(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn unknown(name: &str, format: PayloadFormat) -> String {
    let other = PayloadFormat::ALL
        .into_iter()
        .find(|other| other.dialect().iter().any(|(one, _)| plain_name(one) == plain_name(name)));
    if let Some(other) = other.filter(|other| *other != format) {
        let meant: Vec<&str> = other
            .dialect()
            .iter()
            .filter(|(one, _)| plain_name(one) == plain_name(name))
            .flat_map(|(_, events)| events.iter().map(EventType::as_str))
            .collect();
        return format!(
            "names {name:?}, which is a name of the format {}; here it is {}",
            other.as_str(),
            meant.join(", ")
        );
    }
    let all = EventType::ALL;
    let own = all.iter().map(EventType::as_str);
    let names = own.chain(format.dialect().iter().map(|(one, _)| *one));
    let nearest = names.min_by_key(|one| distance(&plain_name(one), &plain_name(name))).unwrap_or(TEST);
    let nearest = if name.ends_with('*') {
        format!("{}.*", nearest.split('.').next().unwrap_or(nearest))
    } else {
        nearest.to_owned()
    };
    format!(
        "names {name:?}, which no event is called; the nearest name is {nearest:?} (events of your own begin with \"{CUSTOM}.\")"
    )
}

/// How many characters one must insert, delete or change (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, d) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, format: PayloadFormat) -> Result<Vec<String>, String> {
        read_event_name(name, format).map(|patterns| patterns.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_names_of_the_format_are_understood() {
        use PayloadFormat::{Cloudevents, Evolution, Kurir, Waha};
        for (format, name, expected) in [
            (Kurir, "message.received", vec!["message.received"]),
            (Kurir, "message.*", vec!["message.*"]),
            (Kurir, "message.>", vec!["message.*"]),
            (Kurir, "*", vec!["*"]),
            (Kurir, "test", vec!["test"]),
            (Kurir, "custom.order", vec!["custom.order"]),
            (Cloudevents, "custom.*", vec!["custom.*"]),
            (Waha, "message", vec!["message.received"]),
            (Waha, "message.any", vec!["message.received", "message.sent"]),
            (Waha, "message.ack", vec!["message.ack"]),
            (Waha, "message.received", vec!["message.received"]),
            (Waha, "session.status", vec!["connection.status"]),
            (Waha, "group.v2.*", vec!["group.participants", "group.updated"]),
            (Waha, "*", vec!["*"]),
            (Evolution, "messages.upsert", vec!["message.reaction", "message.received", "message.sent"]),
            (Evolution, "MESSAGES_UPSERT", vec!["message.reaction", "message.received", "message.sent"]),
            (Evolution, "GROUP_PARTICIPANTS_UPDATE", vec!["group.participants"]),
            (Evolution, "call", vec!["call.ended", "call.missed", "call.received"]),
            (Evolution, "QRCODE_UPDATED", vec!["connection.status"]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(read(name, format), Ok(expected), "{format:?} {name}");
        }
        for format in PayloadFormat::ALL {
            for (name, _) in format.dialect() {
                assert!(read(name, format).is_ok(), "{format:?} {name}");
            }
        }
    }

    #[test]
    fn a_name_that_matches_nothing_is_refused_with_the_nearest() {
        use PayloadFormat::{Evolution, Kurir, Waha};
        for (format, name, meant) in [
            (Kurir, "message.recieved", "message.received"),
            (Kurir, "MESSAGE_RECEIVED", "message.received"),
            (Kurir, "messages.received", "message.received"),
            (Kurir, "mesage.*", "message.*"),
            (Kurir, "call.recieved", "call.received"),
            (Kurir, "message", "format waha; here it is message.received"),
            (Kurir, "MESSAGES_UPSERT", "format evolution; here it is message.received, message.sent, message.reaction"),
            (Waha, "messages.upsert", "format evolution"),
            (Waha, "mesage", "message"),
            (Waha, "job.done", "format waha does not have"),
            (Evolution, "poll.vote", "format evolution does not have"),
            (Kurir, "", "nearest"),
            (Kurir, "*.received", "nearest"),
        ] {
            let refused = read(name, format).expect_err(name);
            assert!(refused.contains(meant), "{format:?} {name}: {refused}");
        }
    }
}
