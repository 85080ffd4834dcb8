//! What the head of a form's part says: its name, and the name of its file in every way that clients write it. Pure.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::borrow::Cow;

/// The parameters of `Content-Disposition` that are read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PartHead {
    pub name: String,
    /// The file's own name without a folder; none if the head has none, or an empty one.
    pub file_name: Option<String>,
}

impl PartHead {
    pub fn parse(disposition: &[u8]) -> Self {
        let text = read_bytes(disposition);
        let (mut head, mut extended) = (Self::default(), None);
        for (key, value) in parameters(&text) {
            match key.to_ascii_lowercase().as_str() {
                "name" => head.name = decode_words(&value),
                "filename" => head.file_name = Some(decode_percent(&decode_words(&value))),
                "filename*" => extended = decode_extended(&value),
                _ => {}
            }
        }
        // Who writes both writes the plain one for old readers.
        head.file_name = extended.or(head.file_name).map(|name| base_name(&name)).filter(|name| !name.is_empty());
        head
    }
}

/// Bytes as UTF-8, or as ISO-8859-1 if they are none.
fn read_bytes(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// The parameters behind the first `;`, unquoted.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((key, value)) = rest.split_once('=') {
        let (value, after) = read_value(value.trim_start());
        found.push((key.trim_matches([' ', '\t', ';']).to_owned(), value));
        rest = after;
    }
    found
}

/// A value and what stands behind it. In quotes `\"` is a quote; a single backslash is one, as in a path of Windows.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' if matches!(chars.peek(), Some((_, '"' | '\\'))) => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// RFC 5987: `UTF-8''a%20b.pdf`.
fn decode_extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    let bytes = percent_bytes(encoded)?;
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "" => Some(String::from_utf8_lossy(&bytes).into_owned()),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

/// RFC 2047: `=?utf-8?B?…?=` and `=?utf-8?Q?…?=`, one after the other.
fn decode_words(text: &str) -> String {
    let (mut decoded, mut rest, mut follows_word) = (String::new(), text, false);
    while let Some(at) = rest.find("=?") {
        let (before, word) = rest.split_at(at);
        let Some((word, after)) = read_word(word) else {
            decoded.push_str(&rest[..at + 2]);
            (rest, follows_word) = (&rest[at + 2..], false);
            continue;
        };
        // Blanks between two words belong to neither.
        if !(follows_word && before.trim().is_empty()) {
            decoded.push_str(before);
        }
        decoded.push_str(&word);
        (rest, follows_word) = (after, true);
    }
    decoded.push_str(rest);
    decoded
}

fn read_word(text: &str) -> Option<(String, &str)> {
    let mut parts = text.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (encoded, after) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => BASE64_STANDARD.decode(encoded).ok()?,
        "Q" | "q" => percent_bytes(&encoded.replace('%', "%25").replace('=', "%").replace('_', "%20"))?,
        _ => return None,
    };
    let word = match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8_lossy(&bytes).into_owned(),
        "iso-8859-1" | "us-ascii" => bytes.into_iter().map(char::from).collect(),
        _ => return None,
    };
    Some((word, after))
}

/// Browsers write a quote as `%22`, and some clients the whole name so; a name in which a `%` means itself stays.
fn decode_percent(name: &str) -> String {
    let decoded = percent_bytes(name).and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.filter(|decoded| !decoded.contains(char::is_control)).unwrap_or_else(|| name.to_owned())
}

/// None if a `%` is not followed by two hex digits.
fn percent_bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[2..];
    }
    Some(bytes)
}

/// Without the folders in which the sender has it.
fn base_name(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    base.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_however_clients_write_them() {
        for (disposition, name, file_name) in [
            (br#"form-data; name="media"; filename="a b.pdf""# as &[u8], "media", Some("a b.pdf")),
            (br#"form-data; name="media""#, "media", None),
            (br#"form-data; name="media"; filename="""#, "media", None),
            (b"form-data; name=media; filename=a.pdf; filename*=utf-8''%C3%A9.pdf", "media", Some("é.pdf")),
            (b"form-data; name=\"media\"; filename*=UTF-8''%E6%96%87%20x.pdf", "media", Some("文 x.pdf")),
            (b"form-data; name=\"media\"; filename*=iso-8859-1'en'%E9.pdf", "media", Some("é.pdf")),
            (br#"form-data; filename="=?utf-8?B?w6kucGRm?="; name=media"#, "media", Some("é.pdf")),
            (br#"form-data; name=media; filename="=?UTF-8?Q?=C3=A9_x.pdf?=""#, "media", Some("é x.pdf")),
            (br#"form-data; name=media; filename="=?utf-8?B?w6k=?= =?utf-8?B?LnBkZg==?=""#, "media", Some("é.pdf")),
            ("form-data; name=\"media\"; filename=\"é.pdf\"".as_bytes(), "media", Some("é.pdf")),
            (b"form-data; name=\"media\"; filename=\"\xe9.pdf\"", "media", Some("é.pdf")),
            (br#"form-data; name="media"; filename="a%22b%C3%A9.pdf""#, "media", Some("a\"bé.pdf")),
            (br#"form-data; name="media"; filename="100%.pdf""#, "media", Some("100%.pdf")),
            (br#"form-data; name="media"; filename="a%0A.pdf""#, "media", Some("a%0A.pdf")),
            (br#"form-data; name="media"; filename="a\"b.pdf""#, "media", Some("a\"b.pdf")),
            (br#"form-data; name="media"; filename="C:\fakepath\a.pdf""#, "media", Some("a.pdf")),
            (br#"form-data; name="media"; filename="../../etc/passwd""#, "media", Some("passwd")),
            (br#"Form-Data; NAME="media"; FILENAME="a;b.pdf""#, "media", Some("a;b.pdf")),
            (br#"form-data;name="media";filename="a.pdf""#, "media", Some("a.pdf")),
            (br#"attachment; filename="a.pdf""#, "", Some("a.pdf")),
            (b"form-data", "", None),
        ] {
            let expected = PartHead { name: name.to_owned(), file_name: file_name.map(str::to_owned) };
            assert_eq!(PartHead::parse(disposition), expected, "{}", String::from_utf8_lossy(disposition));
        }
    }
}
