//! A failed read or write of a KV bucket, as the caller of a route sees it.

use crate::response::ApiError;
use kurir_chassis::bucket::BucketError;

/// Nothing was read.
pub fn bucket_read_error(error: BucketError) -> ApiError {
    tracing::warn!("failed to read: {error}");
    ApiError::broker_unavailable()
}

/// Nothing was written, or nobody knows.
pub fn bucket_write_error(error: BucketError) -> ApiError {
    tracing::warn!("failed to write: {error}");
    match error {
        BucketError::TimedOut { .. } => ApiError::broker_lost(),
        BucketError::Unavailable { .. } => ApiError::broker_unavailable(),
        BucketError::Full { .. } | BucketError::Refused { .. } => ApiError::not_stored(),
        // A caller that writes over a revision handles the conflict itself.
        BucketError::Conflict { .. } | BucketError::Unreadable { .. } => ApiError::internal(),
    }
}
