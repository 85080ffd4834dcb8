//! What a request's path and query say: the `{id}` of a route, the parameters of a list, a moment in time.

use crate::{endpoint_store::not_found, response::ApiError};
use axum::{
    extract::{FromRequestParts, Query as AxumQuery, RawPathParams},
    http::request::Parts,
};
use kurir_contract::endpoint::{EndpointId, FieldProblem};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Entries of a page.
const PAGE: usize = 100;
const MOST_A_PAGE: usize = 1_000;

/// The `{id}` in a route's path; empty for one that is no UTF-8, which nothing is called.
pub struct PathId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await.ok();
        let id = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "id"));
        Ok(Self(id.map(|(_, id)| id.to_owned()).unwrap_or_default()))
    }
}

impl PathId {
    /// # Errors
    /// Not found: no endpoint can be called so.
    pub fn endpoint(&self) -> Result<EndpointId, ApiError> {
        self.0.parse().map_err(|_| not_found())
    }

    /// A message's number in a stream.
    pub fn sequence(&self) -> Option<u64> {
        self.0.parse().ok().filter(|sequence| *sequence > 0)
    }
}

/// The parameters behind the `?`.
pub struct QueryParams(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let AxumQuery(pairs) = AxumQuery::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::bad_request("invalid_query", "The query of the URL cannot be read"))?;
        Ok(Self(pairs))
    }
}

impl QueryParams {
    /// None if it is missing or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(given, _)| given == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// How many entries the caller wants at most.
    pub fn limit(&self) -> Result<usize, ApiError> {
        let Some(given) = self.get("limit") else { return Ok(PAGE) };
        given.parse().ok().filter(|limit| (1..=MOST_A_PAGE).contains(limit)).ok_or_else(|| {
            let message = format!("must be a whole number from 1 to {MOST_A_PAGE}");
            ApiError::invalid("invalid_query", vec![field_problem("limit", message)])
        })
    }

    /// The endpoint that it names, if it does.
    pub fn endpoint(&self) -> Result<Option<EndpointId>, ApiError> {
        self.get("endpoint").map(|id| id.parse().map_err(|_| not_found())).transpose()
    }
}

/// A moment as a user writes it.
pub fn parse_timestamp(field: &str, given: &str) -> Result<OffsetDateTime, FieldProblem> {
    OffsetDateTime::parse(given, &Rfc3339)
        .map_err(|_| field_problem(field, "must be a time in ISO 8601, as 2026-11-24T13:00:00Z"))
}

pub fn field_problem(field: &str, message: impl Into<String>) -> FieldProblem {
    FieldProblem { field: field.to_owned(), message: message.into() }
}
