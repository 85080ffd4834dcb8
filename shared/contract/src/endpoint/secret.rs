//! The secret that signs an endpoint's webhooks (Standard Webhooks, "Symmetric": `whsec_` and base64 of 24 to 64 bytes).

use crate::clock;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use time::OffsetDateTime;

const PREFIX: &str = "whsec_";
/// The length of a secret in bytes, as the specification requires.
/// 64 characters, so that no one comes more often than another.
const PRINTABLE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret. `Debug` does not show it. `Serialize` writes it, for the bucket only: an answer to a user must leave it out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SigningSecret(Vec<u8>);

/// The error of a text that is no secret. The message does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be \"whsec_\" and the base64 form of 24 to 64 bytes")]
pub struct InvalidSecret;

/// A secret of an endpoint, and how long it signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredSecret {
    pub secret: SigningSecret,
    /// When it stops signing, ISO 8601; none: at the next rotation. After a rotation the old and the new secret both sign,
    /// so that a receiver can change its secret later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl SigningSecret {
    /// A new secret: 43 printable characters of 6 random bits each, so that tools which take a key only as text can check
    /// signatures, too.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random::<[u8; 43]>().iter().map(|random| PRINTABLE[usize::from(random % 64)]).collect())
    }

    /// The bytes that sign.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0
    }

    /// The secret as a user writes it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0))
    }
}

impl StoredSecret {
    /// A secret that signs until it is rotated.
    #[must_use]
    pub fn new(secret: SigningSecret) -> Self {
        Self { secret, until: None }
    }

    /// Whether the secret still signs.
    #[must_use]
    pub fn is_valid(&self, now: OffsetDateTime) -> bool {
        self.until_seconds().is_none_or(|until| now.unix_timestamp() < until)
    }

    /// When it stops signing, in seconds since 1970; 0 for a text that is no time.
    #[must_use]
    pub fn until_seconds(&self) -> Option<i64> {
        let until = self.until.as_ref()?;
        Some(clock::parse(until).map_or(0, OffsetDateTime::unix_timestamp))
    }
}

impl FromStr for SigningSecret {
    type Err = InvalidSecret;

    fn from_str(secret: &str) -> Result<Self, Self::Err> {
        let key = secret.strip_prefix(PREFIX).and_then(|base64| BASE64_STANDARD.decode(base64).ok());
        key.filter(|key| LENGTH.contains(&key.len())).map(Self).ok_or(InvalidSecret)
    }
}

impl TryFrom<String> for SigningSecret {
    type Error = InvalidSecret;

    fn try_from(secret: String) -> Result<Self, Self::Error> {
        secret.parse()
    }
}

impl From<SigningSecret> for String {
    fn from(secret: SigningSecret) -> Self {
        secret.reveal()
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_as_it_was_written_and_never_shown() {
        let secret = SigningSecret::random();
        assert_eq!(secret.reveal().parse(), Ok(secret.clone()));
        assert!(!format!("{secret:?}").contains(&secret.reveal()[6..]));
        assert!(secret.key().len() == 43 && secret.key().iter().all(u8::is_ascii_graphic));
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "c2hvcnQ=", "whsec_!!!"] {
            assert_eq!(bad.parse::<SigningSecret>(), Err(InvalidSecret), "{bad}");
        }
    }

    #[test]
    fn an_old_secret_signs_until_its_time_is_over() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let until = |seconds: i64| StoredSecret {
            secret: SigningSecret::random(),
            until: Some(clock::iso(now + time::Duration::seconds(seconds))),
        };
        assert!(StoredSecret::new(SigningSecret::random()).is_valid(now));
        assert!(until(1).is_valid(now) && !until(0).is_valid(now) && !until(-1).is_valid(now));
    }
}
