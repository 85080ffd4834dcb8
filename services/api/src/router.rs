//! Every route on one page: method, path, who may, and the function that does it.

use crate::{
    access_log,
    app_state::AppState,
    auth, byte_budget,
    config::{ApiConfig, CorsOrigins},
    response,
    routes::{dead_letters, endpoints, health, ledger, media, metrics, replays, webhook, whatsapp},
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::Method,
    middleware::from_fn_with_state,
    routing::{delete, get, patch, post, put},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, AllowOrigin, CorsLayer},
};

pub fn router(config: &ApiConfig, app: AppState) -> Router {
    // Nobody needs a key.
    let open = Router::new()
        .route("/api/health", get(health::brief))
        .route("/api/health/detailed", get(health::detailed))
        .route("/api/metrics", get(metrics::show))
        // The link itself is the permission.
        .route("/media/{file}", get(media::show))
        .with_state(app.clone())
        // `/livez` and `/readyz`.
        .merge(app.health.routes());

    let keyed = Router::new()
        .route("/api/metrics/reset", post(metrics::reset))
        .route("/api/endpoints", get(endpoints::list))
        .route("/api/endpoints", post(endpoints::create))
        .route("/api/endpoints/{id}", get(endpoints::show))
        .route("/api/endpoints/{id}", patch(endpoints::change))
        .route("/api/endpoints/{id}", delete(endpoints::remove))
        .route("/api/endpoints/{id}/enable", post(endpoints::enable))
        .route("/api/endpoints/{id}/disable", post(endpoints::disable))
        .route("/api/endpoints/{id}/test", post(endpoints::test))
        .route("/api/endpoints/{id}/secret/rotate", post(endpoints::rotate))
        .route("/api/dead-letters", get(dead_letters::list))
        .route("/api/dead-letters/replay", post(dead_letters::replay_all))
        .route("/api/dead-letters/{id}", get(dead_letters::show))
        .route("/api/dead-letters/{id}", delete(dead_letters::remove))
        .route("/api/dead-letters/{id}/replay", post(dead_letters::replay))
        .route("/api/replays", get(replays::list))
        .route("/api/replays", post(replays::create))
        .route("/api/replays/{id}", get(replays::show))
        .route("/api/replays/{id}", delete(replays::cancel))
        .route("/api/ledger", get(ledger::show))
        .route_layer(from_fn_with_state(app.clone(), byte_budget::read_body))
        .route_layer(from_fn_with_state(app.clone(), auth::whatsapp_key));

    let webhook = Router::new()
        .route("/api/webhook/status", get(webhook::status))
        .route("/api/webhook/test", post(webhook::test))
        .route("/api/webhook/send", post(webhook::send))
        .route_layer(from_fn_with_state(app.clone(), byte_budget::read_body))
        .route_layer(from_fn_with_state(app.clone(), auth::webhook_key));

    // What is bounded here are files, by `MEDIA_UPLOAD_MAX`, and every other field, by the routes themselves.
    let files = Router::new()
        .route("/whatsapp/send-media", post(whatsapp::send_media))
        .route("/whatsapp/send-image", post(whatsapp::send_image))
        .route("/whatsapp/send-video", post(whatsapp::send_video))
        .route("/whatsapp/send-audio", post(whatsapp::send_audio))
        .route("/whatsapp/send-voice", post(whatsapp::send_voice))
        .route("/whatsapp/send-document", post(whatsapp::send_document))
        .route("/whatsapp/send-sticker", post(whatsapp::send_sticker))
        .layer(DefaultBodyLimit::disable())
        .route_layer(from_fn_with_state(app.clone(), byte_budget::read_body_unless_form));

    // The same for the session `default` and, by name, for any other.
    let session = Router::new()
        .route("/whatsapp/status", get(whatsapp::status))
        .route("/whatsapp/qr", get(whatsapp::qr))
        .route("/whatsapp/send-message", post(whatsapp::send_message))
        .route("/whatsapp/send-bulk", post(whatsapp::send_bulk))
        .route("/whatsapp/send-location", post(whatsapp::send_location))
        .route("/whatsapp/send-contact", post(whatsapp::send_contact))
        .route("/whatsapp/jobs", post(whatsapp::jobs::create))
        .route("/whatsapp/jobs", get(whatsapp::jobs::list))
        .route("/whatsapp/jobs/{id}", get(whatsapp::jobs::show))
        .route("/whatsapp/jobs/{id}", delete(whatsapp::jobs::cancel))
        .route("/whatsapp/send-poll", post(whatsapp::send_poll))
        .route("/whatsapp/send-reaction", post(whatsapp::send_reaction))
        .route("/whatsapp/edit-message", post(whatsapp::edit_message))
        .route("/whatsapp/revoke-message", post(whatsapp::revoke_message))
        .route("/whatsapp/forward-message", post(whatsapp::forward_message))
        .route("/whatsapp/mark-read", post(whatsapp::mark_read))
        .route("/whatsapp/typing", post(whatsapp::typing))
        .route("/whatsapp/presence", post(whatsapp::presence))
        .route("/whatsapp/subscribe-presence", post(whatsapp::subscribe_presence))
        .route("/whatsapp/check-number", post(whatsapp::check_number))
        .route("/whatsapp/contacts/{id}", get(whatsapp::contact))
        .route("/whatsapp/contacts/{id}/picture", get(whatsapp::contact_picture))
        .route("/whatsapp/profile/picture", put(whatsapp::set_own_picture))
        .route("/whatsapp/profile/picture", delete(whatsapp::remove_own_picture))
        .route("/whatsapp/blocklist", get(whatsapp::blocklist))
        .route("/whatsapp/block", post(whatsapp::block))
        .route("/whatsapp/unblock", post(whatsapp::unblock))
        .route("/whatsapp/groups", get(whatsapp::list_groups))
        .route("/whatsapp/groups", post(whatsapp::create_group))
        .route("/whatsapp/groups/join", post(whatsapp::join_group))
        .route("/whatsapp/groups/{id}", get(whatsapp::show_group))
        .route("/whatsapp/groups/{id}", patch(whatsapp::change_group))
        .route("/whatsapp/groups/{id}/participants", post(whatsapp::add_participants))
        .route("/whatsapp/groups/{id}/participants", delete(whatsapp::remove_participants))
        .route("/whatsapp/groups/{id}/admins", post(whatsapp::make_admins))
        .route("/whatsapp/groups/{id}/admins", delete(whatsapp::make_members))
        .route("/whatsapp/groups/{id}/invite", get(whatsapp::invite))
        .route("/whatsapp/groups/{id}/invite", delete(whatsapp::revoke_invite))
        .route("/whatsapp/groups/{id}/picture", get(whatsapp::group_picture))
        .route("/whatsapp/groups/{id}/picture", put(whatsapp::set_group_picture))
        .route("/whatsapp/groups/{id}/picture", delete(whatsapp::remove_group_picture))
        .route("/whatsapp/groups/{id}/leave", post(whatsapp::leave_group))
        .route("/whatsapp/calls/{id}/reject", post(whatsapp::reject_call))
        .route("/whatsapp/logout", post(whatsapp::logout))
        .route("/whatsapp/pairing-code", post(whatsapp::pairing_code))
        .route("/whatsapp/passkey", get(whatsapp::passkey))
        .route("/whatsapp/passkey/response", post(whatsapp::answer_passkey))
        .route("/whatsapp/passkey/confirm", post(whatsapp::confirm_passkey))
        .route("/whatsapp/restart", post(whatsapp::restart))
        .route_layer(from_fn_with_state(app.clone(), byte_budget::read_body))
        .merge(files)
        .route_layer(from_fn_with_state(app.clone(), auth::whatsapp_key));

    let routes = Router::new()
        .merge(keyed)
        .merge(webhook)
        .nest("/api", session.clone())
        .nest("/api/sessions/{session}", session)
        .with_state(app.clone())
        .merge(open)
        .fallback(response::route_not_found)
        .method_not_allowed_fallback(response::route_not_found)
        .layer(CatchPanicLayer::custom(response::after_panic))
        .layer(from_fn_with_state(app, access_log::record));
    match cors(config) {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
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
