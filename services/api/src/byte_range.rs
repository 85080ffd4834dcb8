//! Which bytes of a file a `Range` header asks for (RFC 9110, 14.2). Pure.

use std::ops::Range;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedRange {
    All,
    /// Never empty, and within the file.
    Part(Range<u64>),
    /// The range lies outside the file.
    Nothing,
}

impl RequestedRange {
    /// A header that is none of ours, wrong, or names several ranges is as if it were not there: the RFC allows it.
    pub fn of(range: Option<&str>, size: u64) -> Self {
        let Some((first, last)) = range.and_then(one_range) else { return Self::All };
        let part = match (first, last) {
            (Some(first), last) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
            // The last so many bytes.
            (None, Some(last)) => size.saturating_sub(last)..size,
            (None, None) => return Self::All,
        };
        if part.is_empty() { Self::Nothing } else { Self::Part(part) }
    }
}

fn one_range(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().map(Some),
        _ => None,
    };
    let (first, last) = (number(first)?, number(last)?);
    let backwards = matches!((first, last), (Some(first), Some(last)) if last < first);
    (!backwards).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_the_rfc_says() {
        for (header, expected) in [
            (None, RequestedRange::All),
            (Some("bytes=0-"), RequestedRange::Part(0..100)),
            (Some("bytes=0-0"), RequestedRange::Part(0..1)),
            (Some("bytes=10-19"), RequestedRange::Part(10..20)),
            (Some("bytes=90-1000"), RequestedRange::Part(90..100)),
            (Some("bytes=-10"), RequestedRange::Part(90..100)),
            (Some("bytes=-1000"), RequestedRange::Part(0..100)),
            (Some("bytes=99-99"), RequestedRange::Part(99..100)),
            (Some("bytes=100-"), RequestedRange::Nothing),
            (Some("bytes=-0"), RequestedRange::Nothing),
            (Some("bytes=100-18446744073709551615"), RequestedRange::Nothing),
            (Some("bytes=19-10"), RequestedRange::All),
            (Some("bytes=0-1,5-6"), RequestedRange::All),
            (Some("bytes=-"), RequestedRange::All),
            (Some("bytes=+1-2"), RequestedRange::All),
            (Some("items=0-1"), RequestedRange::All),
            (Some("bytes"), RequestedRange::All),
        ] {
            assert_eq!(RequestedRange::of(header, 100), expected, "{header:?}");
        }
        assert_eq!(RequestedRange::of(Some("bytes=0-"), 0), RequestedRange::Nothing);
        assert_eq!(RequestedRange::of(None, 0), RequestedRange::All);
    }
}
