//! Who may call: the key comes in the header `X-API-Key` or in the query `api_key`, and is compared in constant time.
//!
//! The texts differ between the two groups of routes, as they always did; which group a route is in says the router.

use crate::{api_key::ApiKey, app_state::AppState, connection_phase::ConnectionPhase, response::ApiError};
use axum::{
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::sync::Arc;

/// For `/api/webhook/*`.
pub async fn webhook_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match check(&app.api_key, &request) {
        Ok(()) => next.run(request).await,
        Err(KeyError::Missing | KeyError::Wrong) => {
            unauthorized("invalid_api_key", "Invalid or missing API key").into_response()
        }
    }
}

/// For `/api/whatsapp/*` and every route of Kurir's own.
pub async fn whatsapp_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match check(&app.api_key, &request) {
        Ok(()) => next.run(request).await,
        Err(KeyError::Missing) => unauthorized("missing_api_key", "API key is required").into_response(),
        Err(KeyError::Wrong) => unauthorized("invalid_api_key", "Invalid API key").into_response(),
    }
}

enum KeyError {
    Missing,
    Wrong,
}

fn check(key: &ApiKey, request: &Request) -> Result<(), KeyError> {
    let given = from_header(request.headers()).or_else(|| from_query(request.uri())).ok_or(KeyError::Missing)?;
    if !key.accepts(&given) {
        return Err(KeyError::Wrong);
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

fn unauthorized(code: &'static str, message: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, message)
}
