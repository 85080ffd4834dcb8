//! The header `Idempotency-Key` of a send: with it, asking again is safe.

use crate::response::ApiError;
use axum::{extract::FromRequestParts, http::request::Parts};
use kurir_contract::command::{IdempotencyKey, InvalidIdempotencyKey};

/// None if the caller gave none.
pub struct IdempotencyHeader(pub Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyHeader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(given) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        // What cannot be read as text is as invalid as an empty one.
        let key = given.to_str().unwrap_or_default().parse();
        key.map(|key| Self(Some(key))).map_err(|problem: InvalidIdempotencyKey| {
            ApiError::bad_request("invalid_idempotency_key", problem.to_string())
        })
    }
}
