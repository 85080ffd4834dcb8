//! Phone numbers and the LIDs that stand for them.
//! Promises that a `PhoneNumber` is one WhatsApp could have, and that its LID never changes.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wacore_binary::Jid;

/// A phone number with its country code: 7 to 15 digits, the first not 0 (E.164).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

impl PhoneNumber {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The person's hidden name: 15 digits derived from the number, so that a LID survives any
    /// restart, with or without a state folder.
    pub fn lid(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        let spread = u64::from_be_bytes(head) % 900_000_000_000_000;
        (100_000_000_000_000 + spread).to_string()
    }

    /// `number@s.whatsapp.net`, with a device where it is not the phone.
    pub fn jid(&self, device: u16) -> Jid {
        Jid::pn_device(self.0.as_str(), device)
    }

    pub fn lid_jid(&self, device: u16) -> Jid {
        Jid::lid_device(self.lid(), device)
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PhoneNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if digits && (7..=15).contains(&text.len()) && !text.starts_with('0') {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a phone number: 7 to 15 digits with the country code, no + and no leading 0"))
        }
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> Self {
        number.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_a_country_code_and_digits_only() {
        for good in ["15550100001", "1234567", "628123456789012"] {
            assert!(good.parse::<PhoneNumber>().is_ok(), "{good}");
        }
        for bad in ["", "0812345678", "+15550100001", "123456", "1234567890123456", "15x50100001"] {
            assert!(bad.parse::<PhoneNumber>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lid_has_fifteen_digits_and_is_always_the_same() {
        let number = PhoneNumber("15550100001".to_owned());
        assert_eq!(number.lid().len(), 15);
        assert_eq!(number.lid(), number.lid());
        assert_ne!(number.lid(), PhoneNumber("15550100002".to_owned()).lid());
    }
}
