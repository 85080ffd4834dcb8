//! Who may call: the key comes in the header `X-API-Key`, as `Authorization: Bearer`, or in the query `api_key`, and is
//! compared in constant time.
//!
//! The texts differ between the two groups of routes, as they always did; which group a route is in says the router.

use crate::{app_state::AppState, connection_phase::ConnectionPhase, error_code::ErrorCode, response::ApiError};
use aide::OperationInput;
use axum::{
    extract::{FromRequestParts, Query, Request, State},
    http::{Extensions, HeaderMap, Uri, header::AUTHORIZATION, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

/// For `/api/webhook/*`.
pub async fn require_webhook_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match check(&app, request.headers(), request.uri(), request.extensions()) {
        Ok(()) => next.run(request).await,
        Err(KeyError::Missing | KeyError::Wrong) => {
            unauthorized(ErrorCode::InvalidApiKey, "Invalid or missing API key").into_response()
        }
        Err(KeyError::TooMany(wait)) => too_many(wait).into_response(),
    }
}

/// For `/api/whatsapp/*` and every route of Kurir's own.
pub async fn require_api_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match check(&app, request.headers(), request.uri(), request.extensions()) {
        Ok(()) => next.run(request).await,
        Err(KeyError::Missing) => unauthorized(ErrorCode::MissingApiKey, "API key is required").into_response(),
        Err(KeyError::Wrong) => unauthorized(ErrorCode::InvalidApiKey, "Invalid API key").into_response(),
        Err(KeyError::TooMany(wait)) => too_many(wait).into_response(),
    }
}

enum KeyError {
    Missing,
    Wrong,
    /// Too many wrong ones came from this address; the time to wait.
    TooMany(Duration),
}

fn check(app: &AppState, headers: &HeaderMap, uri: &Uri, extensions: &Extensions) -> Result<(), KeyError> {
    let given = given_key(headers, uri).ok_or(KeyError::Missing)?;
    let (key, now) = (&app.api_key, Instant::now());
    let Some(connection) = extensions.get::<Arc<ConnectionPhase>>() else {
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

/// Whether a request to a route that wants no key has the right one; its answer may say more then.
pub struct OptionalKey {
    pub is_right: bool,
}

impl FromRequestParts<AppState> for OptionalKey {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        Ok(Self { is_right: check(app, &head.headers, &head.uri, &head.extensions).is_ok() })
    }
}

impl OperationInput for OptionalKey {}

fn given_key(headers: &HeaderMap, uri: &Uri) -> Option<Vec<u8>> {
    from_header(headers).or_else(|| from_bearer(headers)).or_else(|| from_query(uri))
}

fn too_many(wait: Duration) -> ApiError {
    let message = "Too many wrong API keys came from this address. Try again later.";
    ApiError { retry_after: Some(wait), ..ApiError::new(ErrorCode::TooManyWrongKeys, message) }
}

fn from_header(headers: &HeaderMap) -> Option<Vec<u8>> {
    headers.get("x-api-key").map(|value| value.as_bytes().to_vec()).filter(|key| !key.is_empty())
}

/// Of another scheme, as a proxy in front may have added it, nothing is known.
fn from_bearer(headers: &HeaderMap) -> Option<Vec<u8>> {
    let given = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = given.split_at_checked("Bearer ".len())?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()).then(|| key.to_vec())
}

fn from_query(uri: &Uri) -> Option<Vec<u8>> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let (_, key) = pairs.into_iter().find(|(name, key)| name == "api_key" && !key.is_empty())?;
    Some(key.into_bytes())
}

fn unauthorized(code: ErrorCode, message: &'static str) -> ApiError {
    ApiError::new(code, message)
}
