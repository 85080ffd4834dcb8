//! Every request in the log and in the counters: method, route, status, duration. Never the query, which may hold the
//! key, and never the path as it was written.

use crate::{app_state::AppState, metrics::ApiCounter};
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use std::time::Instant;
use time::OffsetDateTime;

/// Around every route, and around what is none.
pub async fn record(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("(no route)", MatchedPath::as_str).to_owned();
    let counted = request.uri().path().starts_with("/api/");
    if counted {
        app.metrics.count(ApiCounter::ApiRequests, OffsetDateTime::now_utc());
    }

    let response = next.run(request).await;

    let status = response.status().as_u16();
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if counted && failed {
        app.metrics.count(ApiCounter::ApiErrors, OffsetDateTime::now_utc());
    }
    let duration_ms = began.elapsed().as_millis() as u64;
    if counted {
        tracing::info!(http.method = %method, http.route = route, http.status = status, duration_ms, "{method} {route}: {status}");
    } else {
        tracing::debug!(http.method = %method, http.route = route, http.status = status, duration_ms, "{method} {route}: {status}");
    }
    response
}
