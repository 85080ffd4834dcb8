//! `POST send-message`: a text.

use super::{
    send::{SendResult, send_request},
    text_message::SendMessageRequest,
};
use crate::{
    app_state::AppState,
    extract::{IdempotencyHeader, LenientJsonBody, SessionPath},
};
use axum::extract::State;

pub async fn send_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    LenientJsonBody(body): LenientJsonBody<SendMessageRequest>,
) -> SendResult {
    send_request(app, session, key, body).await
}
