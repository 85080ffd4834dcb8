//! Bytes as text, as Node.js reads them: what cannot be a character becomes U+FFFD and refuses nothing.

use std::borrow::Cow;

/// The text without its byte order mark; none for a charset that is not read.
pub fn decode_text<'a>(bytes: &'a [u8], charset: Option<&str>) -> Option<Cow<'a, str>> {
    match charset.unwrap_or("utf-8") {
        "utf-8" | "utf8" | "us-ascii" | "ascii" => Some(match bytes {
            // Programs under Windows write UTF-16 and do not say so; no text in UTF-8 begins with these bytes.
            [0xff, 0xfe, rest @ ..] => Cow::Owned(decode_utf16(rest, u16::from_le_bytes)),
            [0xfe, 0xff, rest @ ..] => Cow::Owned(decode_utf16(rest, u16::from_be_bytes)),
            _ => String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)),
        }),
        "utf-16" | "utf-16le" => Some(Cow::Owned(match bytes {
            [0xfe, 0xff, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
            _ => decode_utf16(bytes.strip_prefix(b"\xff\xfe").unwrap_or(bytes), u16::from_le_bytes),
        })),
        "utf-16be" => {
            let bytes = bytes.strip_prefix(b"\xfe\xff").unwrap_or(bytes);
            Some(Cow::Owned(decode_utf16(bytes, u16::from_be_bytes)))
        }
        // Each byte is the character of its number.
        "iso-8859-1" | "latin1" => Some(Cow::Owned(bytes.iter().copied().map(char::from).collect())),
        _ => None,
    }
}

fn decode_utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// JSON in which each half of a surrogate pair that stands alone is written as U+FFFD, which is what JavaScript sends on.
pub fn mend_surrogates(json: &str) -> String {
    let mut mended = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let taken = match (unit_of(escape), escape.get(6..).and_then(unit_of)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => {
                mended.push_str(&escape[..12]);
                12
            }
            (Some(0xd800..=0xdfff), _) => {
                mended.push_str("\\ufffd");
                6
            }
            _ => {
                // The escaped character comes along: it may be a backslash.
                let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                mended.push_str(&escape[..length]);
                length
            }
        };
        rest = &escape[taken..];
    }
    mended.push_str(rest);
    mended
}

/// The number of `\uXXXX` at the beginning.
fn unit_of(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}
