//! Who may call: the key comes in the header `X-API-Key` or in the query `api_key`, and is compared in constant time.
//!
//! The texts differ between the two groups of routes, as they always did; which group a route is in says the router.

use crate::{answer::Failure, app::App, connection_phase::ConnectionPhase};
use axum::{
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::{convert::Infallible, sync::Arc};
use subtle::ConstantTimeEq as _;

/// The key of the management API. Neither `Debug` nor `Serialize`, so that no log can hold it.
#[derive(Clone, Default)]
pub struct ApiKey(String);

impl ApiKey {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn accepts(&self, given: &[u8]) -> bool {
        // The length shows in the time it takes; the key's characters do not.
        !self.is_empty() && bool::from(self.0.as_bytes().ct_eq(given))
    }
}

impl std::str::FromStr for ApiKey {
    type Err = Infallible;

    fn from_str(key: &str) -> Result<Self, Infallible> {
        Ok(Self(key.trim().to_owned()))
    }
}

/// For `/api/webhook/*`.
pub async fn webhook_key(State(app): State<App>, request: Request, next: Next) -> Response {
    match check(&app.api_key, &request) {
        Ok(()) => next.run(request).await,
        Err(KeyProblem::Missing | KeyProblem::Wrong) => {
            unauthorized("invalid_api_key", "Invalid or missing API key").into_response()
        }
    }
}

/// For `/api/whatsapp/*` and every route of Kurir's own.
pub async fn whatsapp_key(State(app): State<App>, request: Request, next: Next) -> Response {
    match check(&app.api_key, &request) {
        Ok(()) => next.run(request).await,
        Err(KeyProblem::Missing) => unauthorized("missing_api_key", "API key is required").into_response(),
        Err(KeyProblem::Wrong) => unauthorized("invalid_api_key", "Invalid API key").into_response(),
    }
}

enum KeyProblem {
    Missing,
    Wrong,
}

fn check(key: &ApiKey, request: &Request) -> Result<(), KeyProblem> {
    let given = from_header(request.headers()).or_else(|| from_query(request.uri())).ok_or(KeyProblem::Missing)?;
    if !key.accepts(&given) {
        return Err(KeyProblem::Wrong);
    }
    if let Some(connection) = request.extensions().get::<Arc<ConnectionPhase>>() {
        connection.mark_key();
    }
    Ok(())
}

fn from_header(headers: &HeaderMap) -> Option<Vec<u8>> {
    headers.get("x-api-key").map(|value| value.as_bytes().to_vec()).filter(|key| !key.is_empty())
}

fn from_query(uri: &Uri) -> Option<Vec<u8>> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let (_, key) = pairs.into_iter().find(|(name, key)| name == "api_key" && !key.is_empty())?;
    Some(key.into_bytes())
}

fn unauthorized(code: &'static str, message: &'static str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, code, message)
}
