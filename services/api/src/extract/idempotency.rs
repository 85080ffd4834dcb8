//! The header `Idempotency-Key` of a send: a request with it can be repeated safely.

use crate::{error_code::ErrorCode, response::ApiError};
use aide::{
    OperationInput,
    generate::GenContext,
    openapi::Operation,
    operation::{ParamLocation, add_parameters, parameters_from_schema},
};
use axum::{extract::FromRequestParts, http::request::Parts};
use kurir_contract::command::{IdempotencyKey, InvalidIdempotencyKey};
use schemars::JsonSchema;

/// None if the caller gave none.
pub struct IdempotencyHeader(pub Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyHeader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(given) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        // What cannot be read as text is as invalid as an empty one.
        let key = given.to_str().unwrap_or_default().parse();
        key.map(|key| Self(Some(key))).map_err(|problem: InvalidIdempotencyKey| {
            ApiError::new(ErrorCode::InvalidIdempotencyKey, problem.to_string())
        })
    }
}

#[derive(JsonSchema)]
struct IdempotencyHeaders {
    /// 1 to 255 visible ASCII characters. For 24 hours the same key never sends twice and has the first answer.
    #[schemars(rename = "Idempotency-Key", regex(pattern = r"^[!-~]{1,255}$"))]
    _key: Option<String>,
}

impl OperationInput for IdempotencyHeader {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<IdempotencyHeaders>();
        let parameters = parameters_from_schema(context, schema, ParamLocation::Header);
        add_parameters(context, operation, parameters);
    }
}
