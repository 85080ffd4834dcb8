//! `POST send-message`: a text.

use super::{
    send::{SendResult, send},
    text_message::SendMessageRequest,
};
use crate::{
    app_state::AppState,
    extract::{IdempotencyHeader, JsonBody, SessionPath},
};
use axum::extract::State;
use kurir_contract::command::{SendText, spec};

pub async fn send_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(idempotency_key): IdempotencyHeader,
    JsonBody(body): JsonBody<SendMessageRequest>,
) -> SendResult {
    let (message, at) = body.read()?;
    let message = SendText { idempotency_key, ..message };
    send(app, session, spec::SendText, message.to.clone(), message, at).await
}
