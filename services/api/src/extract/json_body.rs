//! The JSON object in a request's body, with bounds on its size and on the time it may take to arrive.
//!
//! The `Content-Type` is not looked at: what cannot be read as JSON is refused with a text that says so.

use crate::response::ApiError;
use axum::{
    extract::{FromRequest, Request},
    http::StatusCode,
};
use bytes::BytesMut;
use futures::StreamExt as _;
use serde_json::{Map, Value};
use std::time::Duration;

/// As the old program had it (`1mb`). The longest message is 16 kB, and NATS takes 1 MB by default.
const LIMIT: usize = 1024 * 1024;
/// What is read beyond [`LIMIT`] and thrown away: a client that is still writing would see its connection reset
/// instead of the answer.
const DISCARDED: usize = 16 * LIMIT;
/// A body within the limit takes 10 s on a line of 1 Mbit/s.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// The fields of the body; an empty body has none.
pub struct JsonObject(pub Map<String, Value>);

impl<S: Sync> FromRequest<S> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = tokio::time::timeout(ARRIVES_WITHIN, read(request)).await.map_err(|_| {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "Request body did not arrive within 30 s")
        })??;
        parse(&body).map(Self)
    }
}

async fn read(request: Request) -> Result<BytesMut, ApiError> {
    let mut chunks = request.into_body().into_data_stream();
    let (mut body, mut length) = (BytesMut::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::bad_request("body_incomplete", "Request body ended too early"))?;
        length = length.saturating_add(chunk.len());
        if length <= LIMIT {
            body.extend_from_slice(&chunk);
        } else if length > DISCARDED {
            break;
        }
    }
    if length > LIMIT {
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Request body is larger than 1 MB"));
    }
    Ok(body)
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
