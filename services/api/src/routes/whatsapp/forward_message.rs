//! `POST forward-message`: what was said elsewhere. The caller has it: the `data` of its event. A file is where it is kept.

use crate::extract::{IdempotencyHeader, SessionPath};
use crate::{app_state::AppState, extract::JsonObject, response::ApiError};
use axum::extract::State;
use kurir_contract::command::{Command, ForwardedContent, IdempotencyKey, SendForward};
use serde_json::{Map, Value, json};

use super::{
    jobs, parse_recipient,
    send_message::{SendResult, send, text},
};

const WRONG: &str = "message must be the data of a message.received or message.sent whose messageType is text, location, \
    contact, image, video, audio, document or sticker";
const NO_FILE: &str = "The file of this message was not downloaded, so it cannot be forwarded (mediaDownloaded is not true); \
    if media.downloaded came later, its content belongs into the message";
const ONCE: &str = "A message that is shown once cannot be forwarded";

pub async fn forward_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> SendResult {
    let forward = read(&fields, key)?;
    if let Some(media) = forward.as_media() {
        // Who forwards a file that is no longer kept hears it now.
        app.uploads.received(&media.file.object).await?;
    }
    send(app, session, Command::SendForward, forward.to.clone(), forward, jobs::send_at(&fields)?).await
}

fn read(fields: &Map<String, Value>, idempotency_key: Option<IdempotencyKey>) -> Result<SendForward, ApiError> {
    let to = parse_recipient(fields.get("to"))?;
    let wrong = || ApiError::bad_request("invalid_forward", WRONG);
    let given = fields.get("message").and_then(Value::as_object).ok_or_else(wrong)?;
    let (kind, content) = (given.get("messageType"), given.get("content"));
    let message = match serde_json::from_value(json!({"messageType": kind, "content": content})) {
        Ok(ForwardedContent::Text { text: said }) => ForwardedContent::Text { text: text(Some(&Value::String(said)))? },
        Ok(message) => message,
        Err(_) => return Err(wrong()),
    };
    let media = message.file().and(given.get("media"));
    let media = media.map(|media| serde_json::from_value(media.clone())).transpose().map_err(|_| wrong())?.flatten();
    let score = given.get("forwardingScore").and_then(Value::as_u64).unwrap_or_default();
    let forwarding_score = u32::try_from(score).unwrap_or(u32::MAX);
    let forward = SendForward { to, message, media, forwarding_score, idempotency_key };
    if forward.message.file().is_some() {
        // WhatsApp's apps do not let it go on either.
        if given.get("viewOnce") == Some(&Value::Bool(true)) {
            return Err(ApiError::bad_request("invalid_forward", ONCE));
        }
        forward.as_media().ok_or_else(|| ApiError::bad_request("invalid_forward", NO_FILE))?;
    }
    Ok(forward)
}
