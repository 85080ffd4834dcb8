//! The fields in a request's body, as a type. `byte_budget` has read the body before, within its bounds.
//!
//! A `Content-Type` that clients send by default (none, plain text) is taken for JSON, as the old program's users rely on;
//! one that names another format is refused. A field that the type does not know is refused, but for the contract's routes.

use super::{
    body,
    known_fields::{KnownFields, UnknownFields},
};
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
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The body as the type `T`, which knows all of its fields; an empty body has no field.
pub struct JsonBody<T>(pub T);

/// As [`JsonBody`]; fields that the type does not know are ignored, as the contract's routes always did.
pub struct LenientJsonBody<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse_fields(read_json_object(request).await?, UnknownFields::Refused).map(Self)
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for LenientJsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse_fields(read_json_object(request).await?, UnknownFields::Ignored).map(Self)
    }
}

/// Reads fields as the type `T`.
///
/// # Errors
/// If there are fields that it does not know and they are not to be ignored. Its own fields keep their errors.
pub fn parse_fields<T: DeserializeOwned>(
    mut fields: Map<String, Value>,
    unknown: UnknownFields,
) -> Result<T, ApiError> {
    KnownFields::of::<T>().check(&mut fields, unknown)?;
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        tracing::warn!("failed to read a JSON object as a request: {error}");
        ApiError::new(ErrorCode::InvalidJson, "Request body has fields of the wrong type")
    })
}

impl<T: JsonSchema> OperationInput for JsonBody<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        document_json_body::<T>(context, operation);
    }
}

impl<T: JsonSchema> OperationInput for LenientJsonBody<T> {
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
/// If it is neither a JSON object nor a form.
pub async fn read_json_object(request: Request) -> Result<Map<String, Value>, ApiError> {
    let (head, body) = request.into_parts();
    // Its bounds were kept where it was read.
    let body = to_bytes(body, usize::MAX).await;
    let body = body.map_err(|_| ApiError::new(ErrorCode::BodyIncomplete, "Request body ended too early"))?;
    body::read_fields(&head.headers, &body)
}
