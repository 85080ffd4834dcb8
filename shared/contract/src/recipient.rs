//! What a caller may write for a person or a group. Pure.
//!
//! Whatever Kurir prints is read back: JIDs of every format, with a device or without. A phone number is read only if no
//! other number can be meant; nothing else in it is silently dropped than the marks between groups of digits.

use crate::address::ChatJid;

/// Why a recipient was refused. The messages are the contract's, or begin as the contract's do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecipient {
    #[error("Phone number is required")]
    Missing,
    #[error("Invalid phone number format")]
    Format {
        /// What was read of it.
        understood: String,
    },
    /// A number without a country code: the old program sent such a message to nobody.
    #[error(
        "Invalid phone number format: write the country code instead of the leading 0, for example 62{rest} for Indonesia"
    )]
    LeadingZero { rest: String },
    /// A number that can be read in two ways.
    #[error(
        "Invalid phone number format: it has {found}, and was understood as {understood}; write the country code and the \
         number in digits, as +6281234567890"
    )]
    Unclear { found: String, understood: String },
}

impl InvalidRecipient {
    /// What was wrong, and what was understood, where the message itself does not say it.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Format { understood } => Some(format!(
                "must be a phone number with its country code, 10 to 15 digits (9 after a +), or a JID; was understood as \
                 {understood:?}"
            )),
            Self::Missing | Self::LeadingZero { .. } | Self::Unclear { .. } => None,
        }
    }
}

/// Of a number that was written with + or 00: those of Andorra and the Faroe Islands have nine.
const FEWEST_WITH_PLUS: usize = 9;
/// The contract's bounds.
const FEWEST_DIGITS: usize = 10;
const MOST_DIGITS: usize = 15;
/// WhatsApp's numbers of groups and LIDs are shorter.
const MOST_ID_DIGITS: usize = 32;
/// Countries whose numbers begin with a 0 at home and never after the country code. Countries that keep the 0 (Italy,
/// Ivory Coast, …), and those of which it is not certain, are missing.
const DROP_ZERO: &[&str] = &[
    "20", "27", "31", "32", "33", "40", "41", "43", "44", "46", "49", "60", "61", "62", "63", "64", "66", "81", "82",
    "84", "90", "91", "92", "93", "94", "95", "98", "212", "213", "233", "234", "249", "254", "255", "256", "353",
    "355", "358", "359", "380", "381", "387", "389", "421", "880", "966", "971",
];

/// Reads an address as [`ChatJid::from_recipient`] says.
pub fn read_recipient(given: &str) -> Result<ChatJid, InvalidRecipient> {
    // Phones put marks of the writing direction around a number that is copied.
    let text: String = given.chars().filter(|c| !is_invisible(*c)).collect();
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidRecipient::Missing);
    }
    match text.split_once('@') {
        Some((user, server)) => read_jid(user.trim(), &server.to_ascii_lowercase()),
        None => read_number(text).map(|digits| ChatJid::new(&digits, "s.whatsapp.net")),
    }
}

fn read_jid(user: &str, server: &str) -> Result<ChatJid, InvalidRecipient> {
    let refused = || InvalidRecipient::Format { understood: format!("{user}@{server}") };
    let bare = without_device(user);
    match server {
        // An old group's id is `<creator>-<time>`.
        "g.us" if user.split('-').all(is_id) && user.split('-').count() <= 2 => Ok(ChatJid::new(user, server)),
        "lid" if is_id(bare) => Ok(ChatJid::new(bare, server)),
        // `c.us` is the same server in older programs.
        "s.whatsapp.net" | "c.us" => {
            let is_written_by_whatsapp = is_id(bare) && !bare.starts_with('0');
            let digits = if !is_written_by_whatsapp {
                read_number(bare)?
            } else if bare.len() <= MOST_DIGITS {
                check_trunk_zero(bare).map(|()| bare.to_owned())?
            } else {
                return Err(refused());
            };
            Ok(ChatJid::new(&digits, "s.whatsapp.net"))
        }
        _ => Err(refused()),
    }
}

/// A phone number in digits, the country code in front.
fn read_number(text: &str) -> Result<String, InvalidRecipient> {
    // Twilio and links write the scheme in front; spreadsheets mark a text with an apostrophe.
    let lower = text.to_ascii_lowercase();
    let scheme = ["tel:", "whatsapp:", "'"].into_iter().find(|scheme| lower.starts_with(scheme));
    let text = text[scheme.map_or(0, str::len)..].trim();
    let mut digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if let Some(found) = find_unclear(text) {
        return Err(InvalidRecipient::Unclear { found, understood: digits });
    }
    let mut is_international = text.contains('+');
    if !is_international && let Some(rest) = digits.strip_prefix("00") {
        (is_international, digits) = (true, rest.to_owned());
    }
    if let Some(rest) = digits.strip_prefix('0') {
        return Err(InvalidRecipient::LeadingZero { rest: rest.trim_start_matches('0').to_owned() });
    }
    let fewest = if is_international { FEWEST_WITH_PLUS } else { FEWEST_DIGITS };
    if !(fewest..=MOST_DIGITS).contains(&digits.len()) {
        return Err(InvalidRecipient::Format { understood: digits });
    }
    check_trunk_zero(&digits)?;
    Ok(digits)
}

/// What in a number makes its digits another number than the one that is meant; none if it is clear.
fn find_unclear(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let first_digit = chars.iter().position(char::is_ascii_digit);
    for (at, c) in chars.iter().copied().enumerate() {
        let is_before = first_digit.is_none_or(|first| at < first);
        let next = chars.get(at + 1..).into_iter().flatten().find(|c| !c.is_whitespace());
        match c {
            '0'..='9' | '-' | '‐'..='―' | '−' | ')' => {}
            c if c.is_whitespace() => {}
            '+' if is_before && !chars[..at].contains(&'+') => {}
            '+' => return Some("a + behind its beginning".to_owned()),
            '(' if !is_before && next == Some(&'0') => {
                return Some("(0…) behind the country code".to_owned());
            }
            '(' => {}
            '.' if next.is_some_and(char::is_ascii_digit) => return Some("a point before digits".to_owned()),
            '.' => {}
            c if c.is_alphabetic() => return Some(format!("the letter {c}")),
            c => return Some(format!("the character {c:?}")),
        }
    }
    None
}

fn check_trunk_zero(digits: &str) -> Result<(), InvalidRecipient> {
    let code = DROP_ZERO.iter().find(|code| digits.strip_prefix(**code).is_some_and(|rest| rest.starts_with('0')));
    code.map_or(Ok(()), |code| {
        let found = format!("a 0 behind the country code {code}, where no number has one");
        Err(InvalidRecipient::Unclear { found, understood: digits.to_owned() })
    })
}

/// The user of `….<agent>:<device>` and `…:<device>`.
fn without_device(user: &str) -> &str {
    let Some((bare, device)) = user.split_once(':') else { return user };
    if !is_id(device) {
        return user;
    }
    match bare.split_once('.') {
        Some((bare, agent)) if is_id(agent) => bare,
        _ => bare,
    }
}

fn is_id(text: &str) -> bool {
    (1..=MOST_ID_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Marks without a width: directions, joiners, the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

#[cfg(test)]
mod tests;
