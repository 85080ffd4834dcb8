//! A failed read or write of a KV bucket, as the caller of a route sees it.

use crate::{error_code::ErrorCode, response::ApiError};
use kurir_chassis::bucket::BucketError;

/// Nothing was read.
pub fn bucket_read_error(error: BucketError) -> ApiError {
    tracing::warn!("failed to read: {error}");
    match error {
        BucketError::Sealed { .. } => sealed(),
        _ => ApiError::broker_unavailable(),
    }
}

/// What is stored can be opened with a key that this API was not given; only the operator can mend that.
fn sealed() -> ApiError {
    let text = "What is stored is sealed with a key that is not in SECRETS_KEY; the API's log names it";
    ApiError::new(ErrorCode::SecretsSealed, text)
}

/// Nothing was written, or nobody knows.
pub fn bucket_write_error(error: BucketError) -> ApiError {
    tracing::warn!("failed to write: {error}");
    match error {
        BucketError::TimedOut { .. } => ApiError::broker_lost(),
        BucketError::Unavailable { .. } => ApiError::broker_unavailable(),
        BucketError::Sealed { .. } => sealed(),
        BucketError::Full { .. } | BucketError::Refused { .. } => ApiError::not_stored(),
        // A caller that writes over a revision handles the conflict itself.
        BucketError::Conflict { .. } | BucketError::Unreadable { .. } => ApiError::internal(),
    }
}
