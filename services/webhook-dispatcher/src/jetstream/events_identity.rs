//! Which stream EVENTS is. A sequence says nothing without it: a stream that was deleted and made again, or restored from a
//! copy, counts other events.

use anyhow::Context as _;
use async_nats::jetstream::stream::Info;
use kurir_chassis::broker::Broker;
use kurir_contract::stream;
use time::format_description::well_known::Rfc3339;

/// The stream EVENTS at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsIdentity {
    /// When it was created, RFC 3339.
    pub created: String,
    pub last_sequence: u64,
}

/// What became of the stream in which an endpoint's first event was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartCheck {
    /// It is the same.
    Same,
    /// Nobody has stored which stream it was. It is taken for the present one.
    Unknown,
    /// It is another one: the endpoint begins at its start.
    Replaced,
}

impl EventsIdentity {
    /// # Errors
    /// If NATS does not answer, or EVENTS does not exist.
    pub async fn read(broker: &Broker) -> anyhow::Result<Self> {
        let events = broker.jetstream.get_stream(stream::EVENTS).await.context("failed to read the state of EVENTS")?;
        let info = events.cached_info();
        Ok(Self { created: created_of(info)?, last_sequence: info.state.last_sequence })
    }

    /// Compares a stored position with the present stream.
    #[must_use]
    pub fn check_start(&self, start_sequence: u64, stream_created: Option<&str>) -> StartCheck {
        let is_beyond = start_sequence > self.last_sequence.saturating_add(1);
        match stream_created {
            // A stream that was restored from an older copy may have its time.
            _ if is_beyond => StartCheck::Replaced,
            Some(created) if created == self.created => StartCheck::Same,
            Some(_) => StartCheck::Replaced,
            None if start_sequence > 1 => StartCheck::Unknown,
            // It begins at the start of any stream.
            None => StartCheck::Same,
        }
    }

    /// A short name of the stream, for subjects.
    #[must_use]
    pub fn token(&self) -> String {
        self.created.chars().filter(char::is_ascii_alphanumeric).collect()
    }
}

/// When a stream was created, RFC 3339: it tells apart streams of the same name.
///
/// # Errors
/// If NATS gives a time that RFC 3339 cannot write.
pub fn created_of(info: &Info) -> anyhow::Result<String> {
    info.created.format(&Rfc3339).context("a stream has no time of its creation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_in_the_stream_in_which_it_was_stored() {
        let present = EventsIdentity { created: "2026-11-24T13:27:25.042Z".to_owned(), last_sequence: 10 };
        for (start, created, expected) in [
            (0, None, StartCheck::Same),
            (1, None, StartCheck::Same),
            (5, None, StartCheck::Unknown),
            (11, None, StartCheck::Unknown),
            (12, None, StartCheck::Replaced),
            (5, Some("2026-11-24T13:27:25.042Z"), StartCheck::Same),
            (12, Some("2026-11-24T13:27:25.042Z"), StartCheck::Replaced),
            (5, Some("2026-11-23T13:27:25.042Z"), StartCheck::Replaced),
            (0, Some("2026-11-23T13:27:25.042Z"), StartCheck::Replaced),
        ] {
            assert_eq!(present.check_start(start, created), expected, "{start} {created:?}");
        }
        assert_eq!(present.token(), "20261124T132725042Z");
    }
}
