//! A number of bytes as people write it: `10MB`. It is printed as it was written.
//!
//! The crate `bytesize` was looked at and not taken: its kB has 1,000 bytes where the old program's has 1,024, it reads
//! fractions, and it prints what it computed.

use std::{fmt, str::FromStr};

/// A number of bytes, with the text that it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteSize {
    pub bytes: u64,
    text: String,
}

/// The error of a text that is no size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a whole number of bytes, kB, MB or GB, as 10MB")]
pub struct InvalidByteSize;

/// Multiples of 1,024, as the old program counts, and most programs that say MB.
const UNITS: [(&str, u64); 4] = [("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("", 1)];

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let of_unit =
            |(name, unit): (&str, u64)| lower.strip_suffix(name).map(|number| (number.trim_end().to_owned(), unit));
        let (number, unit) = UNITS.into_iter().find_map(of_unit).ok_or(InvalidByteSize)?;
        let number: u64 = number.parse().map_err(|_| InvalidByteSize)?;
        let bytes = number.checked_mul(unit).ok_or(InvalidByteSize)?;
        Ok(Self { bytes, text: text.to_owned() })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_parsed_and_printed_as_it_was_written() {
        for (text, bytes) in
            [("10MB", Some(10 << 20)), (" 64 kB ", Some(64 << 10)), ("2gb", Some(2 << 30)), ("300", Some(300))]
        {
            assert_eq!(
                text.parse::<ByteSize>().ok().map(|size| (size.bytes, size.to_string())),
                bytes.map(|bytes: u64| (bytes, text.trim().to_owned()))
            );
        }
        for wrong in ["", "MB", "10TB", "-1MB", "1.5MB", "99999999999999999999GB", "18446744073709551615kB"] {
            assert_eq!(wrong.parse::<ByteSize>(), Err(InvalidByteSize), "{wrong:?}");
        }
    }
}
