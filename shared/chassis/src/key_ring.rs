//! Keys of the operator's that seal what is stored in NATS, so that a reader of NATS' disk reads no secrets.
//!
//! A ring has one key or several: the first seals, and all of them open. To exchange a key, put the new one in front, let
//! everything be written again, and take the old one away.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hkdf,
    rand::{SecureRandom as _, SystemRandom},
};
use std::{fmt, str::FromStr, sync::Arc};

/// The fewest characters of a key. `openssl rand -hex 32` gives 64.
const SHORTEST: usize = 32;
/// Bytes that say which key sealed a value.
const KEY_NAME: usize = 4;
const HEAD: usize = KEY_NAME + NONCE_LEN;

/// The keys, in the order in which the operator named them. Clones share them.
#[derive(Clone)]
pub struct KeyRing(Arc<Vec<RingKey>>);

struct RingKey {
    /// The operator's text.
    text: String,
    name: [u8; KEY_NAME],
    key: LessSafeKey,
}

/// Why a text is no ring of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "use at least {SHORTEST} characters for each key, as `openssl rand -hex 32` makes them; an older key stands behind a comma"
)]
pub struct InvalidKeyRing;

/// Why a value does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    #[error("it was sealed with a key that is not among the given ones")]
    OtherKey,
    #[error("it was changed, or belongs elsewhere")]
    Changed,
}

impl KeyRing {
    /// Seals a value for one place: `context` says which, and only there it opens.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn seal(&self, context: &str, value: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        // A ring has at least one key.
        let key = self.0.first().ok_or(ring::error::Unspecified)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce)?;
        let mut sealed = Vec::with_capacity(HEAD + value.len() + CHACHA20_POLY1305.tag_len());
        sealed.extend_from_slice(&key.name);
        sealed.extend_from_slice(&nonce);
        let mut value = value.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.key.seal_in_place_append_tag(nonce, Aad::from(context), &mut value)?;
        sealed.append(&mut value);
        Ok(sealed)
    }

    /// Opens a value that was sealed for this place.
    ///
    /// # Errors
    /// If none of the keys sealed it, or it was changed.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let (name, rest) = sealed.split_at_checked(KEY_NAME).ok_or(UnsealError::Changed)?;
        let (nonce, content) = rest.split_at_checked(NONCE_LEN).ok_or(UnsealError::Changed)?;
        let key = self.0.iter().find(|key| key.name == name).ok_or(UnsealError::OtherKey)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError::Changed)?;
        let mut content = content.to_vec();
        let opened = key.key.open_in_place(nonce, Aad::from(context), &mut content);
        let length = opened.map_err(|_| UnsealError::Changed)?.len();
        content.truncate(length);
        Ok(content)
    }

    /// Whether the first key, which seals now, sealed the value.
    #[must_use]
    pub fn is_sealed_by_first(&self, sealed: &[u8]) -> bool {
        self.0.first().is_some_and(|key| sealed.starts_with(&key.name))
    }

    /// The operator's texts, the sealing one first: for [`sealed_file`](crate::sealed_file).
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.text.as_str())
    }
}

impl FromStr for KeyRing {
    type Err = InvalidKeyRing;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let keys = text.split(',').map(str::trim).map(RingKey::new).collect::<Option<Vec<_>>>();
        keys.filter(|keys| !keys.is_empty()).map(|keys| Self(Arc::new(keys))).ok_or(InvalidKeyRing)
    }
}

impl RingKey {
    fn new(text: &str) -> Option<Self> {
        if text.chars().count() < SHORTEST {
            return None;
        }
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"kurir key ring").extract(text.as_bytes());
        let mut bytes = [0; 32];
        secret.expand(&[b"sealed values"], &CHACHA20_POLY1305).ok()?.fill(&mut bytes).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &bytes).ok()?);
        let mut name = [0; KEY_NAME];
        let digest = digest::digest(&digest::SHA256, &bytes);
        name.copy_from_slice(digest.as_ref().get(..KEY_NAME)?);
        Some(Self { text: text.to_owned(), name, key })
    }
}

/// Shows no key.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "0123456789abcdef0123456789abcdef";
    const OLD: &str = "fedcba9876543210fedcba9876543210";

    fn ring(text: &str) -> KeyRing {
        text.parse().expect("keys")
    }

    #[test]
    fn a_value_opens_with_its_key_in_its_place_only() {
        let sealed = ring(NEW).seal("here", b"a secret").expect("sealed");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(ring(NEW).open("here", &sealed), Ok(b"a secret".to_vec()));
        assert_eq!(ring(NEW).open("there", &sealed), Err(UnsealError::Changed));
        assert_eq!(ring(OLD).open("here", &sealed), Err(UnsealError::OtherKey));
        for length in 0..sealed.len() {
            assert!(ring(NEW).open("here", &sealed[..length]).is_err(), "{length}");
        }
        assert_ne!(ring(NEW).seal("here", b"a secret").expect("sealed"), sealed, "the same nonce twice");
    }

    #[test]
    fn the_first_key_seals_and_each_opens() {
        let old = ring(OLD).seal("here", b"old").expect("sealed");
        let both = ring(&format!("{NEW}, {OLD}"));
        assert_eq!(both.open("here", &old), Ok(b"old".to_vec()));
        let new = both.seal("here", b"new").expect("sealed");
        assert_eq!(ring(NEW).open("here", &new), Ok(b"new".to_vec()));
        assert_eq!(ring(OLD).open("here", &new), Err(UnsealError::OtherKey));
        assert_eq!(format!("{both:?}"), "KeyRing(2 keys)");
    }

    #[test]
    fn short_keys_are_refused() {
        for text in ["", "short", &NEW[1..], &format!("{NEW},"), &format!("{NEW},short")] {
            assert!(text.parse::<KeyRing>().is_err(), "{text}");
        }
    }
}
