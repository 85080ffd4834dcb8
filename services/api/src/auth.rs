//! Who may call: the key comes in the header `X-API-Key` or in the query `api_key`, and is compared in constant time.
//!
//! The texts differ between the two groups of routes, as they always did; which group a route is in says the router.

use crate::{app_state::AppState, connection_phase::ConnectionPhase, response::ApiError};
use axum::{
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// For `/api/webhook/*`.
pub async fn webhook_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match check(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(KeyError::Missing | KeyError::Wrong) => {
            unauthorized("invalid_api_key", "Invalid or missing API key").into_response()
        }
        Err(KeyError::TooMany(wait)) => too_many(wait).into_response(),
    }
}

/// For `/api/whatsapp/*` and every route of Kurir's own.
pub async fn whatsapp_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match check(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(KeyError::Missing) => unauthorized("missing_api_key", "API key is required").into_response(),
        Err(KeyError::Wrong) => unauthorized("invalid_api_key", "Invalid API key").into_response(),
        Err(KeyError::TooMany(wait)) => too_many(wait).into_response(),
    }
}

enum KeyError {
    Missing,
    Wrong,
    /// Too many wrong ones came from this address; the time to wait.
    TooMany(Duration),
}

fn check(app: &AppState, request: &Request) -> Result<(), KeyError> {
    let given = given_key(request.headers(), request.uri()).ok_or(KeyError::Missing)?;
    let (key, now) = (&app.api_key, Instant::now());
    let Some(connection) = request.extensions().get::<Arc<ConnectionPhase>>() else {
        return if key.accepts(&given) { Ok(()) } else { Err(KeyError::Wrong) };
    };
    if key.is_short()
        && let Some(wait) = app.wrong_keys.wait(connection.address(), now)
    {
        return Err(KeyError::TooMany(wait));
    }
    if !key.accepts(&given) {
        return Err(app.wrong_keys.count(connection.address(), now).map_or(KeyError::Wrong, KeyError::TooMany));
    }
    connection.mark_key();
    Ok(())
}

/// Whether a request to a route that wants no key has the right one; it may be told more then.
pub fn has_key(app: &AppState, request: &Request) -> bool {
    check(app, request).is_ok()
}

fn given_key(headers: &HeaderMap, uri: &Uri) -> Option<Vec<u8>> {
    from_header(headers).or_else(|| from_query(uri))
}

fn too_many(wait: Duration) -> ApiError {
    let message = "Too many wrong API keys came from this address. Try again later.";
    let retry_after = Some(wait.as_secs().max(1));
    ApiError { retry_after, ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_wrong_keys", message) }
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
