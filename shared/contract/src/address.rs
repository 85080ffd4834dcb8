//! A chat's address: the JID, and what a caller may write in `to`.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A chat's address without a device: `digits@s.whatsapp.net`, `…@lid`, `…@g.us`, or another server of WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct ChatJid(String);

/// Why a recipient was refused. The messages are the contract's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecipient {
    #[error("Phone number is required")]
    Missing,
    #[error("Invalid phone number format")]
    Format,
    /// A number without a country code: the old program sent such a message to nobody.
    #[error(
        "Invalid phone number format: write the country code instead of the leading 0, for example 62{rest} for Indonesia"
    )]
    LeadingZero { rest: String },
}

/// The servers that a caller may name in `to`.
const RECIPIENT_SERVERS: [&str; 3] = ["s.whatsapp.net", "g.us", "lid"];

impl ChatJid {
    /// Takes an address as WhatsApp wrote it, without its device and agent parts (`…:5@`, `….0:5@`).
    #[must_use]
    pub fn from_whatsapp(jid: &str) -> Self {
        let Some((user, server)) = jid.split_once('@') else { return Self(jid.to_owned()) };
        let bare = user.split_once(':').map_or(user, |(bare, _)| bare);
        Self(format!("{bare}@{server}"))
    }

    /// Parses what a caller wrote in `to`.
    ///
    /// # Errors
    /// [`InvalidRecipient`]; its messages are the contract's.
    pub fn from_recipient(to: &str) -> Result<Self, InvalidRecipient> {
        let to = to.trim();
        if to.is_empty() {
            return Err(InvalidRecipient::Missing);
        }
        if let Some((user, server)) = to.split_once('@') {
            return Self::from_recipient_jid(user, server);
        }
        let digits: String = to.chars().filter(char::is_ascii_digit).collect();
        if let Some(rest) = digits.strip_prefix('0') {
            return Err(InvalidRecipient::LeadingZero { rest: rest.trim_start_matches('0').to_owned() });
        }
        if !(10..=15).contains(&digits.len()) {
            return Err(InvalidRecipient::Format);
        }
        Ok(Self(format!("{digits}@s.whatsapp.net")))
    }

    fn from_recipient_jid(user: &str, server: &str) -> Result<Self, InvalidRecipient> {
        let is_digits = |s: &str| !s.is_empty() && s.len() <= 32 && s.bytes().all(|b| b.is_ascii_digit());
        let user_fits = match server {
            // An old group's id is `<creator>-<time>`.
            "g.us" => user.split('-').all(is_digits) && user.split('-').count() <= 2,
            _ => is_digits(user),
        };
        if !user_fits || !RECIPIENT_SERVERS.contains(&server) {
            return Err(InvalidRecipient::Format);
        }
        if server == "s.whatsapp.net" && user.starts_with('0') {
            return Err(InvalidRecipient::LeadingZero { rest: user.trim_start_matches('0').to_owned() });
        }
        Ok(Self(format!("{user}@{server}")))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    #[must_use]
    pub fn user(&self) -> &str {
        self.0.split_once('@').map_or(self.0.as_str(), |(user, _)| user)
    }

    /// The part after the `@`.
    #[must_use]
    pub fn server(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, server)| server)
    }

    #[must_use]
    pub fn is_group(&self) -> bool {
        self.server() == "g.us"
    }

    #[must_use]
    pub fn is_lid(&self) -> bool {
        self.server() == "lid"
    }

    /// The form for logs, which never have a whole number: `…678@s.whatsapp.net`.
    #[must_use]
    pub fn redacted(&self) -> String {
        let user = self.user();
        let tail = user.char_indices().rev().nth(2).map_or(user, |(at, _)| &user[at..]);
        format!("…{tail}@{}", self.server())
    }
}

impl FromStr for ChatJid {
    type Err = InvalidRecipient;

    fn from_str(to: &str) -> Result<Self, Self::Err> {
        Self::from_recipient(to)
    }
}

impl fmt::Display for ChatJid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_read_as_the_contract_says() {
        let zero = |rest: &str| Err(InvalidRecipient::LeadingZero { rest: rest.to_owned() });
        let jid = |jid: &str| Ok(ChatJid(jid.to_owned()));
        for (to, expected) in [
            ("6281234567890", jid("6281234567890@s.whatsapp.net")),
            ("+62 812-3456-7890", jid("6281234567890@s.whatsapp.net")),
            ("6281234567890@s.whatsapp.net", jid("6281234567890@s.whatsapp.net")),
            ("120363000000000001@g.us", jid("120363000000000001@g.us")),
            ("6281234567890-1600000000@g.us", jid("6281234567890-1600000000@g.us")),
            ("123456789012345@lid", jid("123456789012345@lid")),
            ("", Err(InvalidRecipient::Missing)),
            ("   ", Err(InvalidRecipient::Missing)),
            ("12345", Err(InvalidRecipient::Format)),
            ("1234567890123456", Err(InvalidRecipient::Format)),
            ("hello", Err(InvalidRecipient::Format)),
            ("628@example.org", Err(InvalidRecipient::Format)),
            ("a b@g.us", Err(InvalidRecipient::Format)),
            ("081234567890", zero("81234567890")),
            ("081234567890@s.whatsapp.net", zero("81234567890")),
        ] {
            assert_eq!(ChatJid::from_recipient(to), expected, "{to:?}");
        }
    }

    #[test]
    fn a_device_is_not_part_of_a_chat() {
        assert_eq!(ChatJid::from_whatsapp("628123:5@s.whatsapp.net").as_str(), "628123@s.whatsapp.net");
        assert_eq!(ChatJid::from_whatsapp("1203630@g.us").as_str(), "1203630@g.us");
    }

    #[test]
    fn a_log_never_shows_a_whole_number() {
        assert_eq!(ChatJid::from_whatsapp("6281234567890@s.whatsapp.net").redacted(), "…890@s.whatsapp.net");
    }
}
