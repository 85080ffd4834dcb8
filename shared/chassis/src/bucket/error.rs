//! Why a bucket was not read or written.

use super::{Bucket, secrets_key::SealedValueError};
use async_nats::jetstream::{
    context::{PublishError, PublishErrorKind},
    kv::{DeleteError, UpdateErrorKind},
};
use std::{error::Error, fmt::Display};

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

impl Bucket {
    pub(super) fn not_deleted(&self, error: &DeleteError) -> BucketError {
        match error.kind() {
            UpdateErrorKind::TimedOut => self.timed_out(),
            UpdateErrorKind::InvalidKey | UpdateErrorKind::WrongLastRevision | UpdateErrorKind::Other => {
                self.not_written(error)
            }
        }
    }

    /// A connection that broke before the answer hides behind a general error of the client.
    pub(super) fn not_written(&self, error: &(dyn Error + 'static)) -> BucketError {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(publish) = error.downcast_ref::<PublishError>()
                && matches!(publish.kind(), PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe)
            {
                return self.timed_out();
            }
            cause = error.source();
        }
        match crate::publish::PublishError::of_refusal(error) {
            crate::publish::PublishError::Full(reason) => BucketError::Full { bucket: self.name, reason },
            crate::publish::PublishError::Unavailable(reason) => self.unavailable(reason),
            _ => self.refused(error),
        }
    }

    pub(super) fn unavailable(&self, reason: impl Into<String>) -> BucketError {
        BucketError::Unavailable { bucket: self.name, reason: reason.into() }
    }

    pub(super) fn timed_out(&self) -> BucketError {
        BucketError::TimedOut { bucket: self.name }
    }

    pub(super) fn conflict(&self, key: &str) -> BucketError {
        BucketError::Conflict { bucket: self.name, key: key.to_owned() }
    }

    pub(super) fn refused(&self, reason: impl Display) -> BucketError {
        BucketError::Refused { bucket: self.name, reason: reason.to_string() }
    }
}
