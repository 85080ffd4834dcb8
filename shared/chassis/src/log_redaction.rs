//! Removes from every line of the log what none may hold: secrets, phone numbers, queries of URLs, control characters.
//!
//! Lines of libraries come this way too. Message text has no pattern: libraries write it at `trace` only, and the filter of
//! `telemetry` leaves those lines out.

use regex::{Regex, RegexBuilder};
use std::borrow::Cow;

/// Stands where a secret was.
const MASK: &str = "***";
/// Phone numbers and LIDs have at least as many digits.
const LEAST_DIGITS: usize = 10;
/// What is left of them, as our own lines have it.
const SHOWN_DIGITS: usize = 3;
/// A secret that is shorter would be found in words.
const SHORTEST_SECRET: usize = 6;
const SHORTEST_PATH: usize = 16;
/// Tokens that begin like this.
const PREFIXES: [&str; 3] = ["whsec_", "Bearer ", "Basic "];
/// Names whose values are secrets.
const NAMES: [&str; 11] = [
    "password",
    "pass",
    "auth_token",
    "token",
    "secret",
    "api_key",
    "x-api-key",
    "authorization",
    "jwt",
    "nkey_seed",
    "sig",
];

/// What a URL with something to hide holds.
const URL_MARKS: [&str; 2] = ["://", "?"];

/// The values that this process was given as secrets.
#[derive(Clone)]
pub struct LogSecrets {
    values: Vec<String>,
    /// Whatever stands in a line that may hold a secret. Most lines hold none of it, and are looked through once.
    marks: Option<Regex>,
}

impl Default for LogSecrets {
    fn default() -> Self {
        Self::new([])
    }
}

impl LogSecrets {
    /// Settings that are secrets, or URLs with secrets in them: their password, and the path and query of a webhook.
    #[must_use]
    pub fn new(settings: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = Vec::new();
        for value in settings {
            match value.split_once("://") {
                None => secrets.extend(value.split(',').map(|part| part.trim().to_owned())),
                Some((_, rest)) => {
                    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                    if let Some((userinfo, _)) = authority.rsplit_once('@') {
                        secrets.push(userinfo.split_once(':').map_or(userinfo, |(_, password)| password).to_owned());
                    }
                    // A short path is made of words, which stand in other lines too.
                    secrets.extend(Some(path.to_owned()).filter(|path| path.len() >= SHORTEST_PATH));
                }
            }
        }
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        // The longest first: one may hold another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let marks = PREFIXES.into_iter().chain(NAMES).chain(URL_MARKS).chain(secrets.iter().map(String::as_str));
        let marks: Vec<String> = marks.map(regex::escape).collect();
        // Without it (a secret of many megabytes) every line is looked through for each mark.
        let marks = RegexBuilder::new(&marks.join("|")).case_insensitive(true).build().ok();
        Self { values: secrets, marks }
    }

    /// A line as it may be written. `has_colours`: the line's own escape sequences stay.
    #[must_use]
    pub fn redact<'a>(&self, line: &'a str, has_colours: bool) -> Cow<'a, str> {
        let may_hold_secrets = self.marks.as_ref().is_none_or(|marks| marks.is_match(line));
        let line = if may_hold_secrets { Cow::Owned(self.mask(line)) } else { Cow::Borrowed(line) };
        if is_plain(&line, has_colours) { line } else { Cow::Owned(escape_and_shorten(&line, has_colours)) }
    }

    fn mask(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for secret in &self.values {
            if line.contains(secret.as_str()) {
                line = line.replace(secret.as_str(), MASK);
            }
        }
        for prefix in PREFIXES {
            line = mask_after(&line, prefix);
        }
        if line.contains("://") {
            line = mask_userinfo(&line);
        }
        if line.contains('?') {
            line = mask_queries(&line);
        }
        mask_named(&line)
    }
}

fn ends_value(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '"' | '\'' | '\\' | '<' | '>' | ',' | ';' | '(' | ')' | '{' | '}' | '[' | ']')
}

fn value_length(text: &str) -> usize {
    text.find(ends_value).unwrap_or(text.len())
}

fn mask_after(line: &str, prefix: &str) -> String {
    let mut parts = line.split(prefix);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str(prefix);
        let length = value_length(part);
        if length > 0 {
            masked.push_str(MASK);
        }
        masked.push_str(&part[length..]);
    }
    masked
}

/// `nats://user:password@host` → `nats://***@host`.
fn mask_userinfo(line: &str) -> String {
    let mut parts = line.split("://");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str("://");
        let authority = part.find(|c| ends_value(c) || matches!(c, '/' | '?' | '#')).unwrap_or(part.len());
        match part[..authority].rfind('@') {
            Some(at) => {
                masked.push_str(MASK);
                masked.push_str(&part[at..]);
            }
            None => masked.push_str(part),
        }
    }
    masked
}

/// `/media?auth=x&y=z` → `/media?***`.
fn mask_queries(line: &str) -> String {
    let mut parts = line.split('?');
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push('?');
        let length = value_length(part);
        if part[..length].contains('=') {
            masked.push_str(MASK);
            masked.push_str(&part[length..]);
        } else {
            masked.push_str(part);
        }
    }
    masked
}

/// `pass: Some("x")`, `token=x`, `"password":"x"` and the like.
fn mask_named(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let (mut masked, mut copied) = (String::with_capacity(line.len()), 0);
    let mut found: Vec<usize> = NAMES
        .iter()
        .flat_map(|name| lower.match_indices(name).map(|(at, _)| (at, at + name.len())))
        .filter(|(at, end)| {
            let is_part = |character: char| character.is_ascii_alphanumeric();
            !lower[..*at].ends_with(is_part) && !lower[*end..].starts_with(is_part)
        })
        .map(|(_, end)| end)
        .collect();
    found.sort_unstable();
    for end in found {
        let rest = &line[end..];
        let value = rest.trim_start_matches(['"', '\\', ' ']);
        let Some(value) = value.strip_prefix([':', '=']) else { continue };
        let value = value.trim_start_matches(['"', '\\', ' ', '=']);
        let value = value.strip_prefix("Some(").unwrap_or(value).trim_start_matches(['"', '\\']);
        let (at, length) = (line.len() - value.len(), value_length(value));
        if at < copied || length == 0 || matches!(&value[..length], "None" | "true" | "false" | "null" | MASK) {
            continue;
        }
        masked.push_str(&line[copied..at]);
        masked.push_str(MASK);
        copied = at + length;
    }
    masked.push_str(&line[copied..]);
    masked
}

/// Whether a line is ASCII without control characters and without long numbers: nothing is to be escaped or shortened.
fn is_plain(line: &str, has_colours: bool) -> bool {
    let text = line.strip_suffix('\n').unwrap_or(line);
    let mut digits = 0;
    text.bytes().all(|byte| {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        let is_shown = matches!(byte, b' '..=b'~') || (has_colours && byte == b'\x1b');
        is_shown && digits < LEAST_DIGITS
    })
}

/// Escapes what could forge a line or change how it looks, and shortens phone numbers and LIDs.
fn escape_and_shorten(line: &str, has_colours: bool) -> String {
    let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
    let mut written = String::with_capacity(line.len());
    let mut before = ' ';
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let length = if digits > 0 {
            let follows = rest[digits..].chars().next().unwrap_or(' ');
            let is_word =
                before.is_ascii_alphanumeric() || matches!(before, '_' | '.') || follows.is_ascii_alphabetic();
            if digits >= LEAST_DIGITS && !is_word {
                written.push('…');
                written.push_str(&rest[digits - SHOWN_DIGITS..digits]);
            } else {
                written.push_str(&rest[..digits]);
            }
            before = '0';
            digits
        } else {
            if must_be_escaped(character) && !(has_colours && character == '\u{1b}') {
                match character {
                    '\n' => written.push_str("\\n"),
                    '\r' => written.push_str("\\r"),
                    '\t' => written.push_str("\\t"),
                    _ => written.push_str(&format!("\\u{:04x}", u32::from(character))),
                }
            } else {
                written.push(character);
            }
            before = character;
            character.len_utf8()
        };
        rest = &rest[length..];
    }
    written.push_str(end);
    written
}

/// Control characters, line separators, and what turns the direction of text.
fn must_be_escaped(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_holds_no_secret_whoever_wrote_it() {
        let settings = [
            "a-long-api-key",
            "nats://kurir:nats-password@nats:4222",
            "https://n8n.example/webhook/secret-path",
            "http://localhost/webhook",
        ];
        let secrets = LogSecrets::new(settings.map(str::to_owned));
        for (line, expected) in [
            ("key a-long-api-key.\n", "key ***.\n"),
            (
                "CONNECT {\"user\":\"kurir\",\"pass\":\"nats-password\"}\n",
                "CONNECT {\"user\":\"kurir\",\"pass\":\"***\"}\n",
            ),
            ("pass: Some(\"other\"), token: None\n", "pass: Some(\"***\"), token: None\n"),
            ("to https://n8n.example/webhook/secret-path failed\n", "to https://n8n.example/*** failed\n"),
            ("nats://me:word@other:4222\n", "nats://***@other:4222\n"),
            (
                "GET https://mmg.whatsapp.net/v/t62?auth=AbC-d&oe=1: 403\n",
                "GET https://mmg.whatsapp.net/v/t62?*** 403\n",
            ),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, Bearer abc.def\n", "whsec_***, Bearer ***\n"),
            ("from 6281234567890@s.whatsapp.net and +6281234567890\n", "from …890@s.whatsapp.net and +…890\n"),
            ("lid 123456789012345:12@lid\n", "lid …345:12@lid\n"),
            (
                "image_3EB0AA_1732867890123_ff.jpg 0.12345678901 7f3b1234567890ab\n",
                "image_3EB0AA_1732867890123_ff.jpg 0.12345678901 7f3b1234567890ab\n",
            ),
            (
                "webhook what? nothing in 2000ms, passed, tokens: 3\n",
                "webhook what? nothing in 2000ms, passed, tokens: 3\n",
            ),
        ] {
            assert_eq!(secrets.redact(line, false), expected);
        }
    }

    proptest! {
        /// The short ways leave nothing out that the long way would have changed.
        #[test]
        fn a_line_that_is_passed_on_as_it_is_had_nothing_to_hide(parts in prop::collection::vec(part(), 0..8), has_colours: bool) {
            let secrets = LogSecrets::new(["A-long-api-key".to_owned()]);
            let line = parts.concat();
            prop_assert_eq!(
                secrets.redact(&line, has_colours),
                escape_and_shorten(&secrets.mask(&line), has_colours),
                "{}", line
            );
        }
    }

    const WORDS: [&str; 13] = [
        "A-long-api-key",
        "Bearer ",
        "TOKEN=",
        "x",
        "pass",
        ": ",
        "://",
        "a:b@c",
        "?a=b",
        "\n",
        "ä",
        "\u{1b}",
        "\u{85}",
    ];

    /// What lines are made of, and what makes the difference.
    fn part() -> impl Strategy<Value = String> {
        prop_oneof![prop::sample::select(&WORDS[..]).prop_map(str::to_owned), "[0-9]{0,14}", any::<String>()]
    }

    #[test]
    fn nothing_forges_a_line() {
        let none = LogSecrets::default();
        let forged = "a\n2026-11-29T17:00:00Z  INFO forged\r\u{1b}[2J\u{202e}\u{85}\u{2028}z\n";
        let escaped = "a\\n2026-11-29T17:00:00Z  INFO forged\\r\\u001b[2J\\u202e\\u0085\\u2028z\n";
        assert_eq!(none.redact(forged, false), escaped);
        assert_eq!(none.redact("\u{1b}[32m INFO\u{1b}[0m a\nb\n", true), "\u{1b}[32m INFO\u{1b}[0m a\\nb\n");
    }
}
