//! `POST send-bulk`: up to 100 texts, one after the other, a second apart; the answer says how each of them ended.
//!
//! The whole request is checked before the first send. What nobody could send at all (no session, no broker) is an
//! error, as of a single message; after that each message has its own result.

use crate::extract::{IdempotencyHeader, SessionPath};
use crate::{
    app_state::AppState,
    command_error::gateway_error,
    command_request::CommandFailure,
    extract::JsonObject,
    metrics::ApiCounter,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    command::{Command, CommandErrorCode, QueuedSend, SendText, SentMessage},
    session::SessionId,
};
use serde_json::{Map, Value, json};
use std::time::Duration;
use time::OffsetDateTime;

use super::send_message;

/// The contract's bound.
const MOST: usize = 100;
/// Between the end of a send and the next one.
const PAUSE: Duration = Duration::from_secs(1);
const STOPPING: &str = "The API is being stopped; this message was not sent";

/// One of the messages: as its caller named the recipient, and as it goes to the gateway.
pub(super) struct BulkItem {
    to: Value,
    pub message: SendText,
}

pub async fn send_bulk(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let mut items = read(&fields)?;
    for (index, item) in items.iter_mut().enumerate() {
        item.message.idempotency_key = key.as_ref().map(|key| key.part(index));
    }
    app.metrics.count(ApiCounter::BulkRequests, OffsetDateTime::now_utc());
    let carried = app.clone();
    app.carry(async move { send(&carried, &session, items).await }).await.map_err(|panic| {
        tracing::error!("a bulk send panicked: {panic}");
        ApiError::internal()
    })?
}

async fn send(app: &AppState, session: &SessionId, items: Vec<BulkItem>) -> JsonResult {
    let total = items.len();
    let mut results = Vec::with_capacity(total);
    let mut success = 0_usize;
    for (index, BulkItem { to, message }) in items.into_iter().enumerate() {
        if index > 0 && !app.is_stopping() {
            tokio::time::sleep(PAUSE).await;
        }
        if app.is_stopping() {
            count(app, false);
            results.push(json!({"to": to, "success": false, "error": STOPPING}));
            continue;
        }
        let sent = app.gateway.ask::<SentMessage>(session, Command::SendText, &message).await;
        let is_success = matches!(sent, Ok(_) | Err(CommandFailure::Queued(_)));
        count(app, is_success);
        match sent {
            Err(CommandFailure::Queued(QueuedSend { message_id, to, until, .. })) => {
                success += 1;
                results.push(
                    json!({"to": to, "success": true, "messageId": message_id, "status": "queued", "until": until}),
                );
            }
            Ok(SentMessage { message_id, to, .. }) => {
                success += 1;
                results.push(json!({"to": to, "success": true, "messageId": message_id}));
            }
            Err(error) => {
                tracing::warn!(session.id = %session, "failed to send to {}: {error}", message.to.redacted());
                let nothing_goes = nothing_goes(&error);
                let failure = gateway_error(error, Command::SendText, session);
                if index == 0 && nothing_goes {
                    return Err(failure);
                }
                results.push(json!({"to": to, "success": false, "error": failure.message}));
            }
        }
    }
    Ok(Json(json!({
        "success": true,
        "message": "Bulk messages processed",
        "summary": {"total": total, "success": success, "failed": total - success},
        "results": results,
    })))
}

fn count(app: &AppState, sent: bool) {
    let counter = if sent { ApiCounter::BulkMessagesSent } else { ApiCounter::BulkMessagesFailed };
    app.metrics.count(counter, OffsetDateTime::now_utc());
}

/// Whether the error is about the session and not about this message.
fn nothing_goes(error: &CommandFailure) -> bool {
    match error {
        CommandFailure::BrokerAway | CommandFailure::NobodyThere => true,
        CommandFailure::Refused(refusal) => refusal.code == CommandErrorCode::NotConnected,
        // What was handed over may have been sent; its result says so.
        CommandFailure::Queued(_)
        | CommandFailure::BrokerLost
        | CommandFailure::NoAnswer
        | CommandFailure::Unreadable(_) => false,
    }
}

/// Checks everything, in the order in which the texts are promised.
fn read(fields: &Map<String, Value>) -> Result<Vec<BulkItem>, ApiError> {
    let Some(Value::Array(messages)) = fields.get("messages") else {
        return Err(ApiError::bad_request("invalid_messages", "Messages must be an array"));
    };
    if messages.is_empty() {
        return Err(ApiError::bad_request("no_messages", "Messages array cannot be empty"));
    }
    if messages.len() > MOST {
        let text = "Too many messages. Maximum 100 messages per bulk request";
        return Err(ApiError::bad_request("too_many_messages", text));
    }
    messages.iter().enumerate().map(|(index, message)| item(index, message)).collect()
}

pub(super) fn item(index: usize, message: &Value) -> Result<BulkItem, ApiError> {
    let missing = || {
        let text = format!("Message at index {index} is missing required fields: to, message");
        ApiError::bad_request("incomplete_message", text)
    };
    let fields = message.as_object().ok_or_else(missing)?;
    let (to, text) = (fields.get("to"), fields.get("message"));
    let to = to.filter(|to| is_given(to)).ok_or_else(missing)?;
    text.filter(|text| is_given(text)).ok_or_else(missing)?;
    Ok(BulkItem { to: to.clone(), message: send_message::read(fields)? })
}

/// What JavaScript takes for something.
fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}
