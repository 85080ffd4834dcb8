//! The JSON object in a request's body. `byte_budget` has read the body before, within its bounds.
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
    body::to_bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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
/// If it is no JSON object.
pub async fn read_json_object(request: Request) -> Result<Map<String, Value>, ApiError> {
    check_content_type(request.headers())?;
    // Its bounds were kept where it was read.
    let body = to_bytes(request.into_body(), usize::MAX).await;
    let body = body.map_err(|_| ApiError::new(ErrorCode::BodyIncomplete, "Request body ended too early"))?;
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
