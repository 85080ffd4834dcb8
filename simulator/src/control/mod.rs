//! The control API: every route on this page, the handlers by chapter.
//! Promises JSON errors `{"error": …}` that say what was wrong and what is right.

mod ab_properties;
mod accounts;
mod app_state;
mod calls;
mod certificate;
mod channels;
mod connections;
mod contacts;
mod faults;
mod file_type;
mod groups;
mod load;
mod message_content;
mod message_context;
mod messages;
mod new_message;
mod passkey;
mod people;
mod phone;
mod received;
mod response;
mod restrictions;
mod stanza;

use axum::{
    Router,
    extract::{DefaultBodyLimit, State, WebSocketUpgrade},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};

use crate::{server, state::SharedState};

/// A body holds one medium in base64 at most.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A frame is at most 16 MiB, and a client coalesces 64 KiB of small ones.
const MAX_SOCKET_MESSAGE: usize = 17 * 1024 * 1024;

pub fn router(shared: SharedState) -> Router {
    Router::new()
        .route("/ws/chat", get(chat))
        .route("/admin/mock-phone/scan-qr", post(phone::scan_qr))
        .route("/admin/mock-phone/enter-code", post(phone::enter_code))
        .route("/admin/mock-phone/expire-qr", post(phone::expire_qr))
        .route("/admin/mock-phone/power", post(phone::power))
        .route("/admin/mock-phone/require-passkey", post(passkey::require).delete(passkey::require_no_more))
        .route("/admin/mock-phone/sign-passkey", post(passkey::sign))
        .route("/admin/mock-phone/passkey", get(passkey::show))
        .route("/certificate", get(certificate::show))
        .route("/accounts", get(accounts::list))
        .route("/accounts/{number}/app-state", get(app_state::show).post(app_state::change))
        .route("/accounts/{number}/ab-properties", get(ab_properties::list).patch(ab_properties::change))
        .route("/accounts/{number}/nct-salt", post(ab_properties::make_salt).delete(ab_properties::drop_salt))
        .route("/accounts/{number}/history", post(people::history))
        .route("/accounts/{number}/stanzas", post(stanza::send))
        .route("/accounts/{number}/recovered", post(people::recovered))
        .route("/accounts/{number}/restriction", post(restrictions::begin).delete(restrictions::end))
        .route("/contacts/{number}", get(contacts::show).patch(contacts::change))
        .route("/contacts/{number}/reinstall", post(contacts::reinstall))
        .route("/contacts/{number}/messages", get(received::list).post(contacts::write))
        .route("/contacts/{number}/messages/{id}/media", get(received::media))
        .route("/contacts/{number}/sent/{id}", get(contacts::sent))
        .route("/contacts/{number}/receipts", get(contacts::receipts).post(contacts::confirm))
        .route("/contacts/{number}/calls", get(calls::list).post(calls::call))
        .route("/contacts/{number}/presence", get(people::presences).post(people::presence))
        .route("/contacts/{number}/profile", post(people::profile))
        .route("/channels", get(channels::list).post(channels::create))
        .route("/channels/{channel}", get(channels::show))
        .route("/channels/{channel}/messages", get(channels::messages).post(channels::write))
        .route("/messages", get(messages::list))
        .route("/contacts/{number}/picture", get(contacts::picture))
        .route("/groups", get(groups::list).post(groups::create))
        .route("/groups/{id}", get(groups::show).patch(groups::change))
        .route("/load", post(load::begin))
        .route("/load/{id}", get(load::progress))
        .route("/connections/drop", post(connections::drop_now))
        .route("/connections/refuse", post(connections::refuse).delete(connections::refuse_no_more))
        .route("/sessions/logout", post(connections::log_out))
        .route("/faults", get(faults::list).post(faults::add).delete(faults::clear))
        .route("/faults/{id}", delete(faults::remove))
        .route("/clock", get(messages::clock).post(messages::set_clock))
        .route("/statistics", get(messages::statistics))
        .fallback(response::no_such_route)
        .method_not_allowed_fallback(response::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

async fn chat(State(shared): State<SharedState>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(MAX_SOCKET_MESSAGE)
        .max_frame_size(MAX_SOCKET_MESSAGE)
        .on_upgrade(move |socket| server::accept(shared, socket))
        .into_response()
}
