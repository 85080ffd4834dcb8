//! Who may call: the key comes in the header `X-API-Key` or in the query `api_key`, and is compared in constant time.
//!
//! The texts differ between the two groups of routes, as they always did; which group a route is in says the router.

use crate::{api_key::ApiKey, app_state::AppState, error_code::ErrorCode, response::ApiError};
use axum::{
    extract::{Query, Request, State},
    http::{HeaderMap, Uri},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

/// For `/api/webhook/*`.
pub async fn require_webhook_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match check(&app.api_key, &request) {
        Ok(()) => next.run(request).await,
        Err(KeyError::Missing | KeyError::Wrong) => {
            unauthorized(ErrorCode::InvalidApiKey, "Invalid or missing API key").into_response()
        }
    }
}

/// For `/api/whatsapp/*` and every route of Kurir's own.
pub async fn require_api_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match check(&app.api_key, &request) {
        Ok(()) => next.run(request).await,
        Err(KeyError::Missing) => unauthorized(ErrorCode::MissingApiKey, "API key is required").into_response(),
        Err(KeyError::Wrong) => unauthorized(ErrorCode::InvalidApiKey, "Invalid API key").into_response(),
    }
}

enum KeyError {
    Missing,
    Wrong,
}

fn check(key: &ApiKey, request: &Request) -> Result<(), KeyError> {
    let given = from_header(request.headers()).or_else(|| from_query(request.uri())).ok_or(KeyError::Missing)?;
    if key.accepts(&given) { Ok(()) } else { Err(KeyError::Wrong) }
}

fn from_header(headers: &HeaderMap) -> Option<Vec<u8>> {
    headers.get("x-api-key").map(|value| value.as_bytes().to_vec()).filter(|key| !key.is_empty())
}

fn from_query(uri: &Uri) -> Option<Vec<u8>> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let (_, key) = pairs.into_iter().find(|(name, key)| name == "api_key" && !key.is_empty())?;
    Some(key.into_bytes())
}

fn unauthorized(code: ErrorCode, message: &'static str) -> ApiError {
    ApiError::new(code, message)
}
