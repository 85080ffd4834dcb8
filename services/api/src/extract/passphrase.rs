//! The header `X-Passphrase`, which seals or opens a file.

use crate::{error_code::ErrorCode, response::ApiError};
use aide::{
    OperationInput,
    generate::GenContext,
    openapi::Operation,
    operation::{ParamLocation, add_parameters, parameters_from_schema},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, request::Parts},
};
use schemars::JsonSchema;

/// A passphrase of [`SHORTEST`] to [`LONGEST`] characters.
pub struct PassphraseHeader(pub String);

const SHORTEST: usize = 12;
const LONGEST: usize = 255;

impl<S: Send + Sync> FromRequestParts<S> for PassphraseHeader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let given = parts.headers.get("x-passphrase").map(HeaderValue::to_str);
        match given {
            Some(Ok(text)) if (SHORTEST..=LONGEST).contains(&text.len()) => Ok(Self(text.to_owned())),
            _ => {
                let text = format!("The header X-Passphrase must have {SHORTEST} to {LONGEST} ASCII characters");
                Err(ApiError::new(ErrorCode::InvalidPassphrase, text))
            }
        }
    }
}

#[derive(JsonSchema)]
struct PassphraseHeaders {
    /// 12 to 255 ASCII characters.
    #[schemars(rename = "X-Passphrase", regex(pattern = r"^[ -~]{12,255}$"))]
    _passphrase: String,
}

impl OperationInput for PassphraseHeader {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<PassphraseHeaders>();
        let parameters = parameters_from_schema(context, schema, ParamLocation::Header);
        add_parameters(context, operation, parameters);
    }
}
