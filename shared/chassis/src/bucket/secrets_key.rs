//! Values of a bucket that hold secrets, as NATS stores them: sealed with the operator's `SECRETS_KEY`, or as plain text if
//! there is none.
//!
//! Both are read, so that a key can be given to an installation that had none. A value opens only under its own key of its
//! own bucket.

use crate::key_ring::{InvalidKeyRing, KeyRing, UnsealError};
use bytes::Bytes;
use std::str::FromStr;

/// How a sealed value begins. No JSON begins so.
const SEALED: &[u8] = b"kurir-sealed-1\0";
/// As the first key: what is written is plain text.
const PLAIN: &str = "plain";

/// The setting `SECRETS_KEY`: a key, or several with commas between. The first seals, each opens. `plain,<key>` opens what was
/// sealed and seals nothing.
#[derive(Clone, Debug)]
pub struct SecretsKey {
    keys: KeyRing,
    seals: bool,
}

/// Why a stored value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedValueError {
    #[error("it is sealed, and SECRETS_KEY is not set")]
    NoKey,
    #[error("it does not open with SECRETS_KEY: {0}")]
    DoesNotOpen(#[from] UnsealError),
}

impl FromStr for SecretsKey {
    type Err = InvalidKeyRing;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let after_plain = text.split_once(',').filter(|(first, _)| first.trim() == PLAIN).map(|(_, keys)| keys);
        Ok(Self { keys: after_plain.unwrap_or(text).parse()?, seals: after_plain.is_none() })
    }
}

/// The value as it is stored at this place, which `context` names.
///
/// # Errors
/// If the system gives no random bytes.
pub(crate) fn seal(key: Option<&SecretsKey>, context: &str, value: Bytes) -> Result<Bytes, ring::error::Unspecified> {
    match key.filter(|key| key.seals) {
        Some(key) => Ok([SEALED, &key.keys.seal(context, &value)?].concat().into()),
        None => Ok(value),
    }
}

/// The value that was stored at this place.
///
/// # Errors
/// If it is sealed and does not open.
pub(crate) fn open(key: Option<&SecretsKey>, context: &str, stored: Bytes) -> Result<Bytes, SealedValueError> {
    let Some(sealed) = stored.strip_prefix(SEALED) else { return Ok(stored) };
    let key = key.ok_or(SealedValueError::NoKey)?;
    Ok(key.keys.open(context, sealed)?.into())
}

pub(crate) fn is_sealed(stored: &[u8]) -> bool {
    stored.starts_with(SEALED)
}

/// Whether the value would be stored differently today: with another key, or sealed at all.
pub(crate) fn is_outdated(key: &SecretsKey, stored: &[u8]) -> bool {
    match stored.strip_prefix(SEALED) {
        Some(sealed) => !key.seals || !key.keys.is_sealed_by_first(sealed),
        None => key.seals,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "0123456789abcdef0123456789abcdef";
    const OLD: &str = "fedcba9876543210fedcba9876543210";

    fn key(text: &str) -> SecretsKey {
        text.parse().expect("a key")
    }

    #[test]
    fn plain_and_sealed_values_are_read_each_in_its_place() {
        let value = Bytes::from_static(b"{}");
        let sealed = seal(Some(&key(NEW)), "here", value.clone()).expect("sealed");
        assert_ne!(sealed, value);
        assert_eq!(open(Some(&key(NEW)), "here", sealed.clone()), Ok(value.clone()));
        assert_eq!(open(Some(&key(NEW)), "here", value.clone()), Ok(value.clone()));
        assert_eq!(open(None, "here", value.clone()), Ok(value));
        assert_eq!(open(None, "here", sealed.clone()), Err(SealedValueError::NoKey));
        assert!(open(Some(&key(NEW)), "there", sealed.clone()).is_err());
        assert!(open(Some(&key(OLD)), "here", sealed).is_err());
    }

    #[test]
    fn a_value_is_outdated_once_it_would_be_stored_differently() {
        let plain = Bytes::from_static(b"{}");
        let sealed = seal(Some(&key(OLD)), "here", plain.clone()).expect("sealed");
        let (both, back) = (key(&format!("{NEW},{OLD}")), key(&format!("plain, {OLD}")));
        for (key, stored, outdated) in [
            (&key(OLD), &sealed, false),
            (&key(OLD), &plain, true),
            (&both, &sealed, true),
            (&back, &sealed, true),
            (&back, &plain, false),
        ] {
            assert_eq!(is_outdated(key, stored), outdated, "{key:?} {stored:?}");
        }
        assert_eq!(seal(Some(&back), "here", plain.clone()).expect("plain"), plain);
        assert!("plain".parse::<SecretsKey>().is_err() && "plain,short".parse::<SecretsKey>().is_err());
    }
}
