//! Extractors: they read one part of a request, or refuse the request. What a part must hold is the fields' knowledge.
//!
//! `path` reads ids, `query` the parameters behind the `?`, `json_body` the body (`body` says what is in it, `known_fields` what
//! may be in it, `json_text` one field as it was written), `session` and `idempotency` what every
//! send names, `passphrase` what seals a file. Each describes itself for the OpenAPI document.

mod body;
mod idempotency;
mod json_body;
mod json_text;
mod known_fields;
mod passphrase;
mod path;
mod query;
mod session;

pub use body::insert_field;
pub use idempotency::IdempotencyHeader;
pub use json_body::{JsonBody, LenientJsonBody, document_json_body, parse_fields, read_json_object};
pub use json_text::JsonBodyWithData;
pub use known_fields::UnknownFields;
pub use passphrase::PassphraseHeader;
pub use path::{FileName, PathId};
pub use query::QueryParams;
pub use session::SessionPath;
