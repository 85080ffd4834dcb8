//! `GET /docs`: the document as a page, which asks no other host for anything.

use axum::{
    http::{HeaderName, header::CONTENT_SECURITY_POLICY},
    response::{Html, IntoResponse},
};

const PAGE: &str = include_str!("reader.html");
/// The page's own style and script, and the document from here.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub async fn show_reader() -> impl IntoResponse {
    let policy: (HeaderName, &str) = (CONTENT_SECURITY_POLICY, POLICY);
    ([policy], Html(PAGE))
}
