//! A chat's address: the JID, and its forms in logs. `recipient` reads what a caller wrote.

pub use crate::recipient::InvalidRecipient;

use crate::recipient::read_recipient;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// A chat's address without a device: `digits@s.whatsapp.net`, `…@lid`, `…@g.us`, or another server of WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct ChatJid(String);

impl ChatJid {
    /// Takes an address as WhatsApp wrote it, without its device and agent parts (`…:5@`, `….0:5@`).
    #[must_use]
    pub fn from_whatsapp(jid: &str) -> Self {
        let Some((user, server)) = jid.split_once('@') else { return Self(jid.to_owned()) };
        let bare = user.split_once(':').map_or(user, |(bare, _)| bare);
        Self(format!("{bare}@{server}"))
    }

    /// Parses what a caller wrote in `to`: a phone number, or a JID of any format that Kurir prints.
    ///
    /// # Errors
    /// [`InvalidRecipient`]; its messages are the contract's.
    pub fn from_recipient(to: &str) -> Result<Self, InvalidRecipient> {
        read_recipient(to)
    }

    /// Parses a recipient in JSON: a text, a number's digits as a JSON number, or an object with `jid`, as events have it.
    /// What JavaScript takes for nothing is missing.
    ///
    /// # Errors
    /// As [`ChatJid::from_recipient`].
    pub fn from_json(to: &Value) -> Result<Self, InvalidRecipient> {
        let refused = || InvalidRecipient::Format { understood: to.to_string() };
        match to {
            Value::Null | Value::Bool(false) => Err(InvalidRecipient::Missing),
            Value::String(to) => Self::from_recipient(to),
            // A number of JavaScript is exact up to 2^53, which has more digits than a phone number.
            Value::Number(number) => match number.as_u64() {
                Some(0) => Err(InvalidRecipient::Missing),
                Some(number) => Self::from_recipient(&number.to_string()),
                None => Err(refused()),
            },
            Value::Object(fields) => match fields.get("jid").or_else(|| fields.get("_serialized")) {
                Some(Value::String(jid)) => Self::from_recipient(jid),
                _ => Err(refused()),
            },
            Value::Bool(true) | Value::Array(_) => Err(refused()),
        }
    }

    pub(crate) fn new(user: &str, server: &str) -> Self {
        Self(format!("{user}@{server}"))
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
    fn a_device_is_not_part_of_a_chat() {
        assert_eq!(ChatJid::from_whatsapp("628123:5@s.whatsapp.net").as_str(), "628123@s.whatsapp.net");
        assert_eq!(ChatJid::from_whatsapp("1203630@g.us").as_str(), "1203630@g.us");
    }

    #[test]
    fn a_log_never_shows_a_whole_number() {
        assert_eq!(ChatJid::from_whatsapp("6281234567890@s.whatsapp.net").redacted(), "…890@s.whatsapp.net");
    }
}
