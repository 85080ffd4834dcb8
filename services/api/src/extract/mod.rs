//! Extractors: they read one part of a request, or refuse the request. What a part must hold is the fields' knowledge.
//!
//! `path` reads ids, `query` the parameters behind the `?`, `json_body` the body (`json_text` also as it was written), `session` and `idempotency` what every
//! send names. Each describes itself for the OpenAPI document.

mod idempotency;
mod json_body;
mod json_text;
mod path;
mod query;
mod session;

pub use idempotency::IdempotencyHeader;
pub use json_body::{JsonBody, document_json_body, read_json_object};
pub use json_text::JsonBodyWithData;
pub use path::{FileName, PathId};
pub use query::QueryParams;
pub use session::SessionPath;
