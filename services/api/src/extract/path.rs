//! What a path names: the `{id}` and the `{file}` of a route.

use crate::{
    endpoint_store,
    error_code::ErrorCode,
    fields::{FieldValue as _, GroupJid, Person},
    response::ApiError,
};
use aide::OperationInput;
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use kurir_contract::{address::ChatJid, endpoint::EndpointId};
use serde_json::Value;

/// The `{id}` in a route's path; empty for one that is no UTF-8, which nothing is called.
pub struct PathId(pub String);

/// The `{file}` in a route's path; empty for one that is no UTF-8, which no file is called.
pub struct FileName(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self(path_parameter("id", parts, state).await))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for FileName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self(path_parameter("file", parts, state).await))
    }
}

/// The document reads the parameters off the path itself.
impl OperationInput for PathId {}
impl OperationInput for FileName {}

async fn path_parameter<S: Send + Sync>(name: &str, parts: &mut Parts, state: &S) -> String {
    let params = RawPathParams::from_request_parts(parts, state).await.ok();
    let value = params.as_ref().and_then(|params| params.iter().find(|(given, _)| *given == name));
    value.map(|(_, value)| value.to_owned()).unwrap_or_default()
}

impl PathId {
    /// # Errors
    /// Not found: no endpoint can be called so.
    pub fn endpoint(&self) -> Result<EndpointId, ApiError> {
        self.0.parse().map_err(|_| endpoint_store::not_found())
    }

    /// A message's number in a stream.
    pub fn sequence(&self) -> Option<u64> {
        self.0.parse().ok().filter(|sequence| *sequence > 0)
    }

    /// # Errors
    /// If it is no group's id.
    pub fn group(&self) -> Result<ChatJid, ApiError> {
        let group = GroupJid::parse(&Value::from(self.0.as_str()));
        group.map(|GroupJid(group)| group).map_err(|error| error.into_api_error("id", ErrorCode::InvalidGroup))
    }

    /// # Errors
    /// If it is no person's number or JID.
    pub fn person(&self) -> Result<ChatJid, ApiError> {
        let person = Person::parse(&Value::from(self.0.as_str()));
        person.map(|Person(person)| person).map_err(|error| error.into_api_error("id", ErrorCode::InvalidRecipient))
    }
}
