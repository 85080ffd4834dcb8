//! A caller's place in EVENTS. Pure.
//!
//! A sequence counts in one stream only: one that was deleted and made again, or restored, counts other events. So a place may
//! name the stream too, by the time of its creation: `17-1764412345042`. The `id` of a server-sent event is the bare sequence;
//! heartbeats say which stream it is.

use async_nats::jetstream::stream::{Info, State};
use time::OffsetDateTime;

/// The stream EVENTS at this moment.
#[derive(Clone, Copy, Debug)]
pub struct PresentStream {
    pub created: OffsetDateTime,
    pub first_sequence: u64,
    pub last_sequence: u64,
}

/// A place in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPlace {
    /// Everything up to this event was seen.
    pub sequence: u64,
    /// When the stream was created, in milliseconds; none in a bare sequence.
    created: Option<i128>,
}

/// Where a caller begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstPlace {
    /// The first event is the one behind this.
    pub last: u64,
    /// The caller's place was in another stream.
    pub is_other_stream: bool,
}

impl StreamPlace {
    /// Parses an id; none if it is none.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        match id.trim().split_once('-') {
            Some((sequence, created)) => {
                Some(Self { sequence: sequence.parse().ok()?, created: Some(created.parse().ok()?) })
            }
            None => Some(Self { sequence: id.trim().parse().ok()?, created: None }),
        }
    }
}

impl PresentStream {
    #[must_use]
    pub fn of(info: &Info) -> Self {
        let State { first_sequence, last_sequence, .. } = info.state;
        Self { created: info.created, first_sequence, last_sequence }
    }

    /// Where a caller begins that has seen everything up to this place; without one it begins now.
    #[must_use]
    pub fn begin(&self, seen: Option<StreamPlace>) -> FirstPlace {
        let Some(seen) = seen else { return FirstPlace { last: self.last_sequence, is_other_stream: false } };
        let is_other_stream = seen.sequence > self.last_sequence
            || seen.created.is_some_and(|created| created != self.created_milliseconds());
        let last = if is_other_stream { self.first_sequence.saturating_sub(1) } else { seen.sequence };
        FirstPlace { last, is_other_stream }
    }

    /// The beginning of a stream that replaced the one that was read.
    #[must_use]
    pub fn begin_anew(&self) -> FirstPlace {
        FirstPlace { last: self.first_sequence.saturating_sub(1), is_other_stream: true }
    }

    /// The name of the stream.
    #[must_use]
    pub fn created_milliseconds(&self) -> i128 {
        self.created.unix_timestamp_nanos() / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_place_is_kept_in_its_stream_and_is_the_start_of_another_one() {
        let present =
            PresentStream { created: datetime!(2026-11-24 13:27:25.042 UTC), first_sequence: 5, last_sequence: 9 };
        assert_eq!(
            StreamPlace::parse("7-1795526845042"),
            Some(StreamPlace { sequence: 7, created: Some(1_795_526_845_042) })
        );
        for (id, last, is_other_stream) in [
            (Some("7-1795526845042"), 7, false),
            (Some(" 9-1795526845042 "), 9, false),
            (Some("2-1795526845042"), 2, false),
            (Some("7"), 7, false),
            (Some("0"), 0, false),
            (Some("10"), 4, true),
            (Some("7-1795526845041"), 4, true),
            (Some("400-1795526845042"), 4, true),
            (None, 9, false),
        ] {
            let seen = id.map(|id| StreamPlace::parse(id).expect("a place"));
            assert_eq!(present.begin(seen), FirstPlace { last, is_other_stream }, "{id:?}");
        }
        for id in ["", "-1", "seven", "7-", "7-x", "7 8"] {
            assert_eq!(StreamPlace::parse(id), None, "{id:?}");
        }
    }
}
