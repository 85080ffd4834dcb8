//! The parameters behind the `?`.

use crate::{error_code::ErrorCode, response::ApiError};
use aide::{
    OperationInput,
    generate::GenContext,
    openapi::Operation,
    operation::{ParamLocation, add_parameters, parameters_from_schema},
};
use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The parameters as the type `T`, whose fields read strings; an empty one counts as missing.
pub struct QueryParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let invalid = || ApiError::new(ErrorCode::InvalidQuery, "The query of the URL cannot be read");
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(|_| invalid())?;
        let mut given = Map::new();
        for (name, value) in pairs {
            let value = value.trim();
            if !value.is_empty() && !given.contains_key(&name) {
                given.insert(name, Value::from(value));
            }
        }
        serde_json::from_value(Value::Object(given)).map(Self).map_err(|_| invalid())
    }
}

impl<T: JsonSchema> OperationInput for QueryParams<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        let schema = context.schema.subschema_for::<T>();
        let parameters = parameters_from_schema(context, schema, ParamLocation::Query);
        add_parameters(context, operation, parameters);
    }
}
