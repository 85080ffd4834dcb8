//! The key that signs an endpoint's webhooks (Standard Webhooks, "Symmetric": `whsec_` and base64 of 24 to 64 bytes).

use crate::clock;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use time::OffsetDateTime;

const PREFIX: &str = "whsec_";
/// Bytes of a key, as the specification wants them.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// Its `Debug` shows nothing of it. It is serialised for the bucket alone: whoever answers a user takes care.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SigningSecret(Vec<u8>);

/// What [`SigningSecret`] refuses; it does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be \"whsec_\" and the base64 form of 24 to 64 bytes")]
pub struct InvalidSecret;

/// One of an endpoint's secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredSecret {
    pub secret: SigningSecret,
    /// Until when it signs, ISO 8601; none: until it is rotated. After a rotation the old one signs beside the new one,
    /// so that a receiver can change over in its own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl SigningSecret {
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random::<[u8; 32]>().to_vec())
    }

    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0
    }

    /// As its user writes it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0))
    }
}

impl StoredSecret {
    #[must_use]
    pub fn new(secret: SigningSecret) -> Self {
        Self { secret, until: None }
    }

    #[must_use]
    pub fn is_valid(&self, now: OffsetDateTime) -> bool {
        self.until_seconds().is_none_or(|until| now.unix_timestamp() < until)
    }

    /// Until when it signs, seconds since 1970. What is no time is over.
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
    use crate::clock;

    #[test]
    fn a_secret_is_read_back_as_it_was_written_and_never_shown() {
        let secret = SigningSecret::random();
        assert_eq!(secret.reveal().parse(), Ok(secret.clone()));
        assert!(!format!("{secret:?}").contains(&secret.reveal()[6..]));
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
