//! Extractors: they turn the parts of a request into checked values, or refuse the request with the contract's text.
//!
//! `path_and_query` reads ids, list parameters and timestamps, `json_body` reads the body, `session` and `idempotency`
//! read what every send names.

mod idempotency;
mod json_body;
mod path_and_query;
mod session;

pub use idempotency::IdempotencyHeader;
pub use json_body::JsonObject;
pub use path_and_query::{PathId, QueryParams, field_problem, parse_timestamp};
pub use session::SessionPath;
