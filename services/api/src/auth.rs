//! Who may call, and what: a key in the header `X-API-Key`, as `Authorization: Bearer`, or in the query `api_key`, or the
//! cookie of a browser that is logged in. `API_KEY` is compared in constant time, the other keys by their hash.
//!
//! The texts differ between the two groups of routes, as they always did; which group a route is in says the router.

use crate::{
    access_log::RequestPath,
    app_state::AppState,
    connection_phase::ConnectionPhase,
    error_code::ErrorCode,
    keys::{Caller, csrf_header, required_scope},
    response::ApiError,
};
use aide::OperationInput;
use axum::{
    extract::{FromRequestParts, MatchedPath, Query, Request, State},
    http::{Extensions, HeaderMap, Method, Uri, header::AUTHORIZATION, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use kurir_contract::{clock, session::SessionId};
use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};
use subtle::ConstantTimeEq as _;

/// For `/api/webhook/*`.
pub async fn require_webhook_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match authorize(&app, request) {
        Ok(request) => next.run(request).await,
        Err(KeyError::Missing | KeyError::Wrong) => {
            unauthorized(ErrorCode::InvalidApiKey, "Invalid or missing API key").into_response()
        }
        Err(KeyError::Refused(error)) => error.into_response(),
    }
}

/// For `/api/whatsapp/*` and every route of Kurir's own.
pub async fn require_api_key(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match authorize(&app, request) {
        Ok(request) => next.run(request).await,
        Err(KeyError::Missing) => unauthorized(ErrorCode::MissingApiKey, "API key is required").into_response(),
        Err(KeyError::Wrong) => unauthorized(ErrorCode::InvalidApiKey, "Invalid API key").into_response(),
        Err(KeyError::Refused(error)) => error.into_response(),
    }
}

enum KeyError {
    Missing,
    Wrong,
    /// The key is known, or too many wrong ones came; the answer says why.
    Refused(ApiError),
}

/// The request with its caller, if that may make it.
fn authorize(app: &AppState, mut request: Request) -> Result<Request, KeyError> {
    let caller = identify(app, request.headers(), request.uri(), request.extensions())?;
    if caller.via_dashboard && request.method() != Method::GET && request.method() != Method::HEAD {
        let token = app.login_cookies.read(request.headers(), &app.api_key, &app.keys).map(|(_, token)| token);
        let given = request.headers().get(csrf_header()).map(|given| given.as_bytes());
        let is_same = token.zip(given).is_some_and(|(token, given)| bool::from(token.as_bytes().ct_eq(given)));
        if !is_same {
            let text = "The header X-CSRF-Token is missing or wrong: reload the page";
            return Err(KeyError::Refused(ApiError::new(ErrorCode::InvalidCsrfToken, text)));
        }
    }
    check_rights(&caller, &request).map_err(KeyError::Refused)?;
    if let Some(per_minute) = caller.requests_per_minute
        && let Some(wait) = app.key_rates.count(&caller.key_id, per_minute, Instant::now())
    {
        let message = format!("This key may make {per_minute} requests in a minute. Try again later.");
        let error = ApiError { retry_after: Some(wait), ..ApiError::new(ErrorCode::RateLimited, message) };
        return Err(KeyError::Refused(error));
    }
    request.extensions_mut().insert(caller);
    Ok(request)
}

/// The scope that the route takes, and the session that the path names.
fn check_rights(caller: &Caller, request: &Request) -> Result<(), ApiError> {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let scope = required_scope(request.method(), route);
    if !caller.allows(scope) {
        let message = format!("This key has not the scope {:?}", scope.as_str());
        return Err(ApiError::new(ErrorCode::InsufficientScope, message));
    }
    let changes_all = route == "/api/sessions" && request.method() == Method::POST;
    if caller.sessions.is_empty() || (SHARED_BY_SESSIONS.contains(&route) && !changes_all) {
        return Ok(());
    }
    let path = request.extensions().get::<RequestPath>().map(|RequestPath(path)| path.as_str());
    let session = if route.starts_with("/api/sessions/{session}") {
        path.and_then(|path| path.strip_prefix("/api/sessions/")?.split('/').next())
    } else {
        route.starts_with("/api/whatsapp/").then_some(SessionId::DEFAULT)
    };
    match session {
        Some(session) if caller.sees(session) => Ok(()),
        Some(_) | None => {
            let text = "This key is bound to sessions, and this request is about another one or about all";
            Err(ApiError::new(ErrorCode::SessionNotAllowed, text))
        }
    }
}

/// Routes that show a key which is bound to sessions only what is of these.
const SHARED_BY_SESSIONS: [&str; 13] = [
    "/api/events",
    "/api/events/stream",
    "/api/events/{id}",
    "/api/events/{id}/life",
    "/api/deliveries",
    "/api/deliveries/{id}",
    "/api/chats",
    "/api/chats/{id}/messages",
    "/api/contacts",
    "/api/search",
    "/api/sessions",
    "/api/login",
    "/api/index",
];

fn identify(app: &AppState, headers: &HeaderMap, uri: &Uri, extensions: &Extensions) -> Result<Caller, KeyError> {
    match given_key(headers, uri) {
        Some(given) => check_key(app, &given, extensions),
        None => {
            let login = app.login_cookies.read(headers, &app.api_key, &app.keys);
            let (caller, _) = login.ok_or(KeyError::Missing)?;
            if let Some(connection) = extensions.get::<Arc<ConnectionPhase>>() {
                connection.mark_key();
            }
            Ok(caller)
        }
    }
}

fn check_key(app: &AppState, given: &[u8], extensions: &Extensions) -> Result<Caller, KeyError> {
    let (key, now) = (&app.api_key, Instant::now());
    let find = || app.keys.find(given, clock::now()).map(|record| Caller::of_key(&record));
    let Some(connection) = extensions.get::<Arc<ConnectionPhase>>() else {
        let known = if key.accepts(given) { Some(Caller::environment()) } else { find() };
        return known.ok_or(KeyError::Wrong);
    };
    if key.is_short()
        && let Some(wait) = app.wrong_keys.wait(connection.address(), now)
    {
        return Err(KeyError::Refused(too_many(wait)));
    }
    let known = if key.accepts(given) { Some(Caller::environment()) } else { find() };
    let Some(caller) = known else {
        let wait = app.wrong_keys.count(connection.address(), now);
        return Err(wait.map_or(KeyError::Wrong, |wait| KeyError::Refused(too_many(wait))));
    };
    connection.mark_key();
    Ok(caller)
}

/// The caller that holds the key that a login names.
///
/// # Errors
/// If it is no key, or too many wrong ones came from this address.
pub fn caller_of_key(app: &AppState, given: &str, extensions: &Extensions) -> Result<Caller, ApiError> {
    check_key(app, given.as_bytes(), extensions).map_err(|error| match error {
        KeyError::Missing | KeyError::Wrong => unauthorized(ErrorCode::InvalidApiKey, "Invalid API key"),
        KeyError::Refused(error) => error,
    })
}

/// Whether a request to a route that wants no key has the right one; its answer may say more then.
pub struct OptionalKey {
    pub is_right: bool,
}

impl FromRequestParts<AppState> for OptionalKey {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        Ok(Self { is_right: identify(app, &head.headers, &head.uri, &head.extensions).is_ok() })
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
