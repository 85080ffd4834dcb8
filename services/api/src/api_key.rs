//! The key of the management API.

use std::convert::Infallible;
use subtle::ConstantTimeEq as _;

/// 16 random characters cannot be tried.
const LEAST_LENGTH: usize = 16;

/// The key of the management API. Neither `Debug` nor `Serialize`, so that no log can hold it.
#[derive(Clone, Default)]
pub struct ApiKey(String);

impl ApiKey {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it could be guessed.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.0.len() < LEAST_LENGTH
    }

    /// The key, to be hashed.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Compares in constant time.
    pub fn accepts(&self, given: &[u8]) -> bool {
        // The length shows in the time it takes; the key's characters do not.
        !self.is_empty() && bool::from(self.0.as_bytes().ct_eq(given))
    }
}

impl std::str::FromStr for ApiKey {
    type Err = Infallible;

    fn from_str(key: &str) -> Result<Self, Infallible> {
        Ok(Self(key.trim().to_owned()))
    }
}
