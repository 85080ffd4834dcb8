//! Which bytes of a file a `Range` header asks for (RFC 9110, 14.2). Pure.

use http_range_header::{RangeUnsatisfiableError, parse_range_header};
use std::ops::Range;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedRange {
    Whole,
    /// Never empty, and within the file.
    Part(Range<u64>),
    /// The range lies outside the file.
    Unsatisfiable,
}

impl RequestedRange {
    /// A header that is none of ours, wrong, or names several ranges is as if it were not there: the RFC allows it.
    pub fn parse(header: Option<&str>, size: u64) -> Self {
        let Some(Ok(ranges)) = header.map(|header| parse_range_header(header.trim())) else { return Self::Whole };
        match ranges.validate(size) {
            Ok(_) if size == 0 => Self::Unsatisfiable,
            Ok(parts) => match parts.as_slice() {
                [part] => Self::Part(*part.start()..part.end().saturating_add(1)),
                _ => Self::Whole,
            },
            Err(RangeUnsatisfiableError::Unsatisfiable) => Self::Unsatisfiable,
            Err(_) => Self::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_the_rfc_says() {
        for (header, expected) in [
            (None, RequestedRange::Whole),
            (Some("bytes=0-"), RequestedRange::Part(0..100)),
            (Some("bytes=0-0"), RequestedRange::Part(0..1)),
            (Some("bytes=10-19"), RequestedRange::Part(10..20)),
            (Some("bytes=90-1000"), RequestedRange::Part(90..100)),
            (Some("bytes=-10"), RequestedRange::Part(90..100)),
            (Some("bytes=-1000"), RequestedRange::Part(0..100)),
            (Some("bytes=99-99"), RequestedRange::Part(99..100)),
            (Some("bytes=100-"), RequestedRange::Unsatisfiable),
            (Some("bytes=-0"), RequestedRange::Unsatisfiable),
            (Some("bytes=100-18446744073709551615"), RequestedRange::Unsatisfiable),
            (Some("bytes=19-10"), RequestedRange::Whole),
            (Some("bytes=0-1,5-6"), RequestedRange::Whole),
            (Some("bytes=-"), RequestedRange::Whole),
            (Some("bytes=+1-2"), RequestedRange::Whole),
            (Some("items=0-1"), RequestedRange::Whole),
            (Some("bytes"), RequestedRange::Whole),
        ] {
            assert_eq!(RequestedRange::parse(header, 100), expected, "{header:?}");
        }
        assert_eq!(RequestedRange::parse(Some("bytes=0-"), 0), RequestedRange::Unsatisfiable);
        assert_eq!(RequestedRange::parse(None, 0), RequestedRange::Whole);
    }

    #[test]
    fn fuzz_ranges() {
        kurir_fuzz::run("ranges", |input| {
            let header = String::from_utf8_lossy(input);
            for size in [0, 1, 100, u64::MAX] {
                if let RequestedRange::Part(part) = RequestedRange::parse(Some(&header), size) {
                    assert!(part.start < part.end && part.end <= size, "{header}: {part:?} of {size}");
                }
            }
        });
    }
}
