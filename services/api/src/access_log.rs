//! Every request in the log and in the counters: method, route, status, duration. Never the query, which may hold the
//! key, and never the path as it was written.

use crate::{
    app_state::AppState,
    metrics::ApiCounter,
    request_id::{X_REQUEST_ID, request_id},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, header::CACHE_CONTROL},
    middleware::Next,
    response::Response,
};
use std::time::Instant;
use time::OffsetDateTime;

/// The path as it came: a router below sees only its part.
#[derive(Clone)]
pub struct RequestPath(pub String);

/// Around every route, and around what is none.
pub async fn record(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("(no route)", MatchedPath::as_str).to_owned();
    let counted = request.uri().path().starts_with("/api/");
    if counted {
        app.metrics.count(ApiCounter::ApiRequests, OffsetDateTime::now_utc());
    }

    let request_id = request_id(request.headers());
    request.headers_mut().insert(X_REQUEST_ID, request_id.clone());
    let path = RequestPath(request.uri().path().to_owned());
    request.extensions_mut().insert(path);
    let mut response = next.run(request).await;

    if counted && !response.headers().contains_key(CACHE_CONTROL) {
        // An answer may hold a secret, and none is worth keeping.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response.headers_mut().insert(X_REQUEST_ID, request_id.clone());

    let status = response.status().as_u16();
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if counted && failed {
        app.metrics.count(ApiCounter::ApiErrors, OffsetDateTime::now_utc());
    }
    // It has visible characters only.
    let request_id = request_id.to_str().unwrap_or_default();
    let duration_ms = began.elapsed().as_millis() as u64;
    if counted {
        tracing::info!(http.method = %method, http.route = route, http.status = status, duration_ms, http.request_id = request_id, "{method} {route}: {status}");
    } else {
        tracing::debug!(http.method = %method, http.route = route, http.status = status, duration_ms, http.request_id = request_id, "{method} {route}: {status}");
    }
    response
}
