//! The JSON object in a request's body, with bounds on its size and on the time it may take to arrive.
//!
//! A `Content-Type` that clients send by default (none, a form's, plain text) is taken for JSON, as the old program's
//! users rely on; one that names another format is refused.

use crate::{error_code::ErrorCode, response::ApiError};
use aide::{
    OperationInput,
    generate::GenContext,
    openapi::{MediaType, Operation, RequestBody, SchemaObject},
    operation::set_body,
};
use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use bytes::BytesMut;
use futures::StreamExt as _;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::Duration;

/// As the old program had it (`1mb`). The longest message is 16 kB, and NATS takes 1 MB by default.
const LIMIT: usize = 1024 * 1024;
/// What is read beyond [`LIMIT`] and thrown away: a client that is still writing would see its connection reset
/// instead of the answer.
const DISCARDED: usize = 16 * LIMIT;
/// A body within the limit takes 10 s on a line of 1 Mbit/s.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);
/// What is read as JSON besides `application/json` and `…+json`.
const READ_AS_JSON: [&str; 3] = ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"];

/// The body as the type `T`; an empty body has no field.
pub struct JsonBody<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let fields = read_json_object(request).await?;
        // Fields keep their own errors, so an object can always be read.
        serde_json::from_value(Value::Object(fields)).map(Self).map_err(|error| {
            tracing::warn!("failed to read a JSON object as a request: {error}");
            ApiError::new(ErrorCode::InvalidJson, "Request body has fields of the wrong type")
        })
    }
}

impl<T: JsonSchema> OperationInput for JsonBody<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        document_json_body::<T>(context, operation);
    }
}

/// Describes a body in JSON; it is required if one of its fields is.
pub fn document_json_body<T: JsonSchema>(context: &mut GenContext, operation: &mut Operation) {
    let json_schema = context.schema.subschema_for::<T>();
    let required = context.resolve_schema(&json_schema).get("required").is_some();
    let schema = SchemaObject { json_schema, external_docs: None, example: None };
    let content = MediaType { schema: Some(schema), ..MediaType::default() };
    let content = [("application/json".to_owned(), content)].into_iter().collect();
    set_body(context, operation, RequestBody { content, required, ..RequestBody::default() });
}

/// Reads the fields of a body.
///
/// # Errors
/// If it is no JSON object, too large or too slow.
pub async fn read_json_object(request: Request) -> Result<Map<String, Value>, ApiError> {
    check_content_type(request.headers())?;
    let body = tokio::time::timeout(ARRIVES_WITHIN, read_body(request))
        .await
        .map_err(|_| ApiError::new(ErrorCode::BodyTimeout, "Request body did not arrive within 30 s"))??;
    parse_object(&body)
}

/// The type without its parameters, in lower case; empty if the request names none.
fn content_type_of(headers: &HeaderMap) -> String {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = content_type_of(headers);
    let is_json = given.ends_with("/json") || given.ends_with("+json");
    if given.is_empty() || is_json || READ_AS_JSON.contains(&given.as_str()) {
        return Ok(());
    }
    let text = "The body must be JSON: send it with Content-Type: application/json";
    Err(ApiError::new(ErrorCode::UnsupportedMediaType, text))
}

async fn read_body(request: Request) -> Result<BytesMut, ApiError> {
    let mut chunks = request.into_body().into_data_stream();
    let (mut body, mut length) = (BytesMut::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::new(ErrorCode::BodyIncomplete, "Request body ended too early"))?;
        length = length.saturating_add(chunk.len());
        if length <= LIMIT {
            body.extend_from_slice(&chunk);
        } else if length > DISCARDED {
            break;
        }
    }
    if length > LIMIT {
        return Err(ApiError::new(ErrorCode::BodyTooLarge, "Request body is larger than 1 MB"));
    }
    Ok(body)
}

fn parse_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(ApiError::new(ErrorCode::InvalidJson, "Request body must be a JSON object"))
        }
        Err(problem) => {
            let (line, column) = (problem.line(), problem.column());
            let text = format!("Request body is not valid JSON (line {line}, column {column})");
            Err(ApiError::new(ErrorCode::InvalidJson, text))
        }
    }
}
