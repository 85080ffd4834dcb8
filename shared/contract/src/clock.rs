//! Timestamps as JSON has them: ISO 8601 in UTC with milliseconds, always with a `Z`.

use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

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
    iso(OffsetDateTime::now_utc())
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
