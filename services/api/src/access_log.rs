//! Every request in the log and in the counters: method, route, status, duration. Never the query, which may hold the
//! key, and never the path as it was written.

use crate::{
    app_state::AppState,
    metrics::ApiCounter,
    request_id::{X_REQUEST_ID, request_id},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, header::CACHE_CONTROL},
    middleware::Next,
    response::Response,
};
use kurir_chassis::trace_context::{self, TRACE_TARGET};
use kurir_contract::{clock, header};
use prometheus_client::metrics::gauge::Gauge;
use std::time::Instant;
use tracing::{Instrument as _, field};

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
        app.metrics.count(ApiCounter::ApiRequests, clock::now());
    }

    let request_id = request_id(request.headers());
    request.headers_mut().insert(X_REQUEST_ID, request_id.clone());
    let path = RequestPath(request.uri().path().to_owned());
    request.extensions_mut().insert(path);
    let span = tracing::info_span!(
        target: TRACE_TARGET,
        "http request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = %method,
        http.route = route,
        http.response.status_code = field::Empty,
    );
    trace_context::adopt_text(&span, traceparent(request.headers()));
    let under_way = UnderWay::begin(&app);
    let mut response = next.run(request).instrument(span.clone()).await;
    drop(under_way);

    if counted && !response.headers().contains_key(CACHE_CONTROL) {
        // An answer may hold a secret, and none is worth keeping.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response.headers_mut().insert(X_REQUEST_ID, request_id.clone());

    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    let trace = span.in_scope(|| trace_context::collected_trace(trace_context::current().as_deref()));
    app.requests.record((method.as_str(), &route), status, began.elapsed(), trace);
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if counted && failed {
        app.metrics.count(ApiCounter::ApiErrors, clock::now());
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

/// A request without an answer yet, which its caller may give up.
struct UnderWay(Gauge);

impl UnderWay {
    fn begin(app: &AppState) -> Self {
        app.requests.under_way.inc();
        Self(app.requests.under_way.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The trace that the caller is in, if it says so.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::TRACEPARENT)?.to_str().ok()
}
