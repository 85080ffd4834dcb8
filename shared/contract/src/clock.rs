//! The time of day, and timestamps as JSON has them: ISO 8601 in UTC with milliseconds, always with a `Z`.
//!
//! The time is that of NATS as soon as it was read ([`set_time`]), so that all services agree on it: what one stores, another
//! one compares. Between two readings a monotonic clock counts. A process speaks to one NATS, so it has one time.

use std::{
    sync::{PoisonError, RwLock},
    time::Instant,
};
use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

/// When a time was read, and which it was.
static READING: RwLock<Option<(Instant, OffsetDateTime)>> = RwLock::new(None);

/// The present time: NATS' as it was last read, or the machine's as long as none was read.
#[must_use]
pub fn now() -> OffsetDateTime {
    // Nothing can panic while it holds this lock.
    match *READING.read().unwrap_or_else(PoisonError::into_inner) {
        Some((at, time)) => time + at.elapsed(),
        None => OffsetDateTime::now_utc(),
    }
}

/// Sets the present time of this process, and gives how far it moved.
pub fn set_time(time: OffsetDateTime) -> time::Duration {
    let moved = time - now();
    *READING.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), time));
    moved
}

const FORMAT: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// `2026-11-24T13:27:25.042Z`, as JavaScript's `toISOString` writes it.
#[must_use]
pub fn iso(at: OffsetDateTime) -> String {
    let utc = at.to_offset(time::UtcOffset::UTC);
    // Formatting into a String fails only for a year outside 0..=9999, which no clock here can show.
    utc.format(FORMAT).unwrap_or_else(|_| utc.unix_timestamp().to_string())
}

/// Parses a timestamp of RFC 3339, which includes every text that [`iso`] writes; none if it is no timestamp.
#[must_use]
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// The present time, as [`iso`] writes it.
#[must_use]
pub fn now_iso() -> String {
    iso(now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn milliseconds_are_always_three_digits_in_utc() {
        assert_eq!(iso(datetime!(2026-11-24 13:27:25.042 UTC)), "2026-11-24T13:27:25.042Z");
        assert_eq!(iso(datetime!(2026-11-24 20:27:25 +7)), "2026-11-24T13:27:25.000Z");
        assert_eq!(parse("2026-11-24T13:27:25.042Z"), Some(datetime!(2026-11-24 13:27:25.042 UTC)));
        assert_eq!(parse("2026-11-24"), None);
    }
}
