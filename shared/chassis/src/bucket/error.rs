//! Why a bucket was not read or written.

use super::secrets_key::SealedValueError;

/// Why a bucket was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The broker is away, or the bucket cannot be opened. Nothing was written.
    #[error("the bucket {bucket} is not available: {reason}")]
    Unavailable { bucket: &'static str, reason: String },
    /// No answer came in time. A write may be stored.
    #[error("the bucket {bucket} did not answer in time")]
    TimedOut { bucket: &'static str },
    /// Another client wrote the key first. Nothing was written.
    #[error("another client has written the key {key} of the bucket {bucket}")]
    Conflict { bucket: &'static str, key: String },
    /// NATS has no room for the value. Nothing was written.
    #[error("NATS has no room for a value of the bucket {bucket}: {reason}")]
    Full { bucket: &'static str, reason: String },
    /// NATS refused the write for another reason, for example because the key is not valid. Nothing was written.
    #[error("the bucket {bucket} refused the write: {reason}")]
    Refused { bucket: &'static str, reason: String },
    /// The stored value is no JSON of the expected type.
    #[error("the value under {key} in the bucket {bucket} cannot be read: {source}")]
    Unreadable { bucket: &'static str, key: String, source: serde_json::Error },
    /// The stored value is sealed with a key that this service does not have.
    #[error("the value under {key} in the bucket {bucket} cannot be read: {source}")]
    Sealed { bucket: &'static str, key: String, source: SealedValueError },
}

impl BucketError {
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}
