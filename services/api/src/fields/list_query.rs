//! Parameters of lists: `limit`, `after`, `endpoint`.

use super::{Field, FieldError, FieldErrors, FieldValue};
use crate::error_code::ErrorCode;
use kurir_contract::endpoint::EndpointId;
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// Entries of a page whose caller names no number.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// Which part of a list the caller wants.
#[derive(Deserialize, JsonSchema)]
pub struct PageQuery {
    /// How many entries the page has at most.
    pub limit: Option<Field<PageLimit>>,
    /// The `next` of the page before.
    pub after: Option<Field<CursorText>>,
}

pub struct PageLimit(pub usize);

/// A cursor as a page named it; its meaning is the list's own.
pub struct CursorText(pub String);

/// An endpoint that a query names; one that cannot exist is not found.
pub struct QueryEndpoint(pub EndpointId);

impl PageQuery {
    /// The limit and the cursor, as the caller wrote it.
    pub fn read(self, errors: &mut FieldErrors) -> (usize, Option<String>) {
        let limit = errors.take_optional("limit", self.limit).map_or(DEFAULT_LIMIT, |PageLimit(limit)| limit);
        (limit, errors.take_optional("after", self.after).map(|CursorText(after)| after))
    }
}

impl CursorText {
    /// The error of a cursor that no page of this list named.
    pub fn invalid() -> FieldError {
        FieldError::predicate("must be the \"next\" of the page before")
    }
}

impl FieldValue for PageLimit {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let limit = given.as_str().and_then(|limit| limit.parse().ok());
        limit
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .map(Self)
            .ok_or_else(|| FieldError::predicate(format!("must be a whole number from 1 to {MAX_LIMIT}")))
    }
}

impl FieldValue for CursorText {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        given.as_str().map(|after| Self(after.to_owned())).ok_or_else(Self::invalid)
    }
}

impl FieldValue for QueryEndpoint {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        match given.as_str() {
            None => Err(FieldError::predicate("is required: the id of an endpoint")),
            Some(id) => id
                .parse()
                .map(Self)
                .map_err(|_| FieldError::sentence(ErrorCode::EndpointNotFound, "Endpoint not found")),
        }
    }
}

inline_schema!(
    PageLimit,
    |_| json_schema!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT})
);
inline_schema!(CursorText, |_| json_schema!({"type": "string"}));
inline_schema!(
    QueryEndpoint,
    |_| json_schema!({"type": "string", "description": "The id of an endpoint.", "examples": ["default"]})
);
