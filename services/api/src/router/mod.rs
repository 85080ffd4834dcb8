//! Every route: method, path, who may use it, the function that does it, and what the OpenAPI document says about it.
//!
//! `management` has the routes of Kurir itself, `sessions` those of sessions as resources, `history` those of the search index and of keys, `session`, `messages` and `groups` those of a WhatsApp session.

mod groups;
mod history;
mod management;
mod messages;
mod session;
mod sessions;

use crate::{
    access_log,
    app_state::AppState,
    auth, byte_budget,
    config::{ApiConfig, CorsOrigins},
    dashboard, keys,
    openapi::{DocumentedRouter, OpenApiDocument, RouteAccess, begin_document, build_document, show_reader},
    response,
};
use axum::{Router, http::Method, middleware::from_fn_with_state, routing::get};
use kurir_chassis::metrics::MetricsRegistry;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, AllowOrigin, CorsLayer},
};

pub fn router(config: &ApiConfig, app: AppState, metrics: MetricsRegistry) -> Router {
    let (routes, document) = documented_routes(&app);
    let routes = routes
        .fallback(dashboard::show_page_or_not_found)
        .with_state(app.clone())
        // `/livez` and `/readyz`.
        .merge(app.health.probe_routes())
        // Counts by route: no names, numbers or endpoints.
        .merge(metrics.metrics_route())
        .route("/openapi.json", get(async || document))
        .route("/docs", get(show_reader))
        .method_not_allowed_fallback(response::method_not_allowed)
        .layer(CatchPanicLayer::custom(response::panic_response))
        .layer(from_fn_with_state(app, access_log::record));
    match cors(config) {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}

/// The routes with the document about them.
fn documented_routes(app: &AppState) -> (Router<AppState>, OpenApiDocument) {
    begin_document();
    let api_key = from_fn_with_state(app.clone(), auth::require_api_key);
    let webhook_key = from_fn_with_state(app.clone(), auth::require_webhook_key);
    let body = from_fn_with_state(app.clone(), byte_budget::read_body);
    let body_unless_file = from_fn_with_state(app.clone(), byte_budget::read_body_unless_file);
    // The same for the session `default` and, by name, for any other.
    let record = from_fn_with_state(app.clone(), keys::record_changes);
    let session = || {
        let routes = session::routes().merge(messages::routes()).merge(groups::routes()).route_layer(body.clone());
        routes
            .merge(messages::file_routes().route_layer(body_unless_file.clone()))
            .route_layer(record.clone())
            .route_layer(api_key.clone())
    };
    let (routes, api, docs) = DocumentedRouter::new("", RouteAccess::Keyed, &[])
        .nest("/api", session())
        .merge(
            management::webhook_routes().route_layer(body.clone()).route_layer(record.clone()).route_layer(webhook_key),
        )
        .merge(
            management::keyed_routes()
                .merge(history::routes())
                .route_layer(body.clone())
                .route_layer(record.clone())
                .route_layer(api_key.clone()),
        )
        .merge(history::open_routes().route_layer(body.clone()))
        .merge(management::open_routes())
        .merge(sessions::routes().route_layer(body.clone()).route_layer(record.clone()).route_layer(api_key.clone()))
        // Their bodies are files, which the routes read piece by piece.
        .merge(sessions::file_routes().route_layer(record.clone()).route_layer(api_key.clone()))
        .nest("/api/sessions/{session}", session())
        .finish();
    (routes, build_document(api, &docs))
}

/// As the old program's: every method, the headers that are asked for, no credentials.
fn cors(config: &ApiConfig) -> Option<CorsLayer> {
    let origins = match config.origins() {
        Ok(CorsOrigins::All) => AllowOrigin::any(),
        Ok(CorsOrigins::Only(origins)) if !origins.is_empty() => AllowOrigin::list(origins),
        // An empty list allows none; the settings refuse what is no origin.
        Ok(CorsOrigins::Only(_)) | Err(_) => return None,
    };
    let methods = [Method::GET, Method::HEAD, Method::PUT, Method::PATCH, Method::POST, Method::DELETE];
    Some(CorsLayer::new().allow_origin(origins).allow_methods(methods).allow_headers(AllowHeaders::mirror_request()))
}
