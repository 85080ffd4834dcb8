//! The JSON object in a request's body. `byte_budget` has read the body before, within its bounds.
//!
//! The `Content-Type` is not looked at: what cannot be read as JSON is refused with a text that says so.

use crate::response::ApiError;
use axum::{
    body::to_bytes,
    extract::{FromRequest, Request},
};
use serde_json::{Map, Value};

/// The fields of the body; an empty body has none.
pub struct JsonObject(pub Map<String, Value>);

impl<S: Sync> FromRequest<S> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        // Its bounds were kept where it was read.
        let body = to_bytes(request.into_body(), usize::MAX).await;
        let body = body.map_err(|_| ApiError::bad_request("body_incomplete", "Request body ended too early"))?;
        parse(&body).map(Self)
    }
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(ApiError::bad_request("invalid_json", "Request body must be a JSON object"))
        }
        Err(problem) => {
            let (line, column) = (problem.line(), problem.column());
            Err(ApiError::bad_request(
                "invalid_json",
                format!("Request body is not valid JSON (line {line}, column {column})"),
            ))
        }
    }
}
