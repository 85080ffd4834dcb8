//! The OpenAPI document: made of the same types that the routes read and write, while the router is built.
//!
//! A route can only be added through [`DocumentedRouter`], so none is missing in the document. `aide` derives bodies,
//! parameters and answers from the handlers; [`document`] adds what a handler's type does not say: errors and their codes,
//! headers, path parameters, examples.

mod document;
mod documented_router;
mod operation;
mod reader;

pub use document::{OpenApiDocument, build_document};
pub use documented_router::{DocumentedRouter, RouteAccess, begin_document};
pub use operation::{OperationDoc, operation};
pub use reader::show_reader;
