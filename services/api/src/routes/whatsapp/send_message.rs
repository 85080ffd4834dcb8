//! `POST send-message`: reads what is to be sent, hands it to the gateway, and tells how it ended.

use crate::extract::{IdempotencyHeader, SessionPath};
use crate::{
    app_state::AppState, command_error::gateway_error, command_request::CommandFailure, extract::JsonObject,
    metrics::ApiCounter, response::ApiError,
};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::{
    address::ChatJid,
    command::{Command, SendText, SentMessage},
    session::SessionId,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{jobs, parse_recipient};

/// In UTF-16 code units, as JavaScript's `length` counts: an emoji is two.
const MAX_MESSAGE: usize = 4096;
/// WhatsApp's ids have up to 32 characters; what is longer is none.
pub(super) const MAX_MESSAGE_ID: usize = 128;
/// As many as a group has members.
const MENTIONS: usize = 1_024;

pub async fn send_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> SendResult {
    let message = SendText { idempotency_key: key, ..read(&fields)? };
    let to = message.to.clone();
    send(app, session, Command::SendText, to, message, jobs::send_at(&fields)?).await
}

/// 200 once it is sent, 202 if it goes out later.
pub(super) type SendResult = Result<(StatusCode, Json<Value>), ApiError>;

/// Hands a message of any kind over, counts it, and tells how it ended; or has it kept until its time (`at`).
pub(super) async fn send(
    app: AppState,
    session: SessionId,
    command: Command,
    to: ChatJid,
    message: impl Serialize + Send + Sync + 'static,
    at: Option<OffsetDateTime>,
) -> SendResult {
    if let Some(at) = at {
        return jobs::schedule(&app, &session, command, &message, at).await;
    }
    let carried = app.clone();
    app.carry(async move { ask(&carried, &session, command, &to, &message).await }).await.map_err(|panic| {
        tracing::error!("a send panicked: {panic}");
        ApiError::internal()
    })?
}

async fn ask(
    app: &AppState,
    session: &SessionId,
    command: Command,
    to: &ChatJid,
    message: &(impl Serialize + Sync),
) -> SendResult {
    let sent = match app.gateway.ask::<SentMessage>(session, command, message).await {
        Err(CommandFailure::Queued(queued)) => return Ok(jobs::queued(&queued)),
        sent => sent,
    };
    let counter = if sent.is_ok() { ApiCounter::MessagesSent } else { ApiCounter::MessagesFailed };
    app.metrics.count(counter, OffsetDateTime::now_utc());
    match sent {
        Ok(sent) => Ok(answer(&sent, "Message sent successfully")),
        Err(error) => {
            tracing::warn!(session.id = %session, "failed to send to {}: {error}", to.redacted());
            Err(gateway_error(error, command, session))
        }
    }
}

/// What the caller of a message that was sent is told, with the text of its route.
pub(super) fn answer(SentMessage { message_id, to, attempt }: &SentMessage, text: &str) -> (StatusCode, Json<Value>) {
    let told = json!({"success": true, "messageId": message_id, "message": text, "to": to, "attempt": attempt});
    (StatusCode::OK, Json(told))
}

/// Checks the fields in the order in which their texts are promised.
pub(super) fn read(fields: &Map<String, Value>) -> Result<SendText, ApiError> {
    let to = parse_recipient(fields.get("to"))?;
    let text = text(fields.get("message"))?;
    let options = fields.get("options");
    let quoted = quoted(options)?;
    let (quoted_participant, mentions) = (quoted_participant(options)?, mentions(options)?);
    Ok(SendText { to, text, quoted, quoted_participant, mentions, idempotency_key: None })
}

fn quoted_participant(options: Option<&Value>) -> Result<Option<ChatJid>, ApiError> {
    let given = options.and_then(|options| options.get("quotedParticipant")).filter(|given| !given.is_null());
    let wrong = || {
        let text = "options.quotedParticipant must be the number of who wrote the quoted message";
        ApiError::bad_request("invalid_quoted", text)
    };
    given.map(|given| person(given).ok_or_else(wrong)).transpose()
}

fn mentions(options: Option<&Value>) -> Result<Vec<ChatJid>, ApiError> {
    let given = options.and_then(|options| options.get("mentions")).filter(|given| !given.is_null());
    let Some(given) = given else { return Ok(Vec::new()) };
    let people = given.as_array().filter(|people| people.len() <= MENTIONS);
    people.and_then(|people| people.iter().map(person).collect()).ok_or_else(|| {
        let text = "options.mentions must be a list of at most 1024 numbers; the text names each as @ and its digits";
        ApiError::bad_request("invalid_mentions", text)
    })
}

fn person(given: &Value) -> Option<ChatJid> {
    parse_recipient(Some(given)).ok().filter(|person| !person.is_group())
}

pub(super) fn text(given: Option<&Value>) -> Result<String, ApiError> {
    let text = given
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| ApiError::bad_request("missing_message", "Message is required and must be a string"))?;
    if text.encode_utf16().count() > MAX_MESSAGE {
        return Err(ApiError::bad_request("message_too_long", "Message is too long (max 4096 characters)"));
    }
    Ok(text.to_owned())
}

/// The id of the message that is replied to: `options.quoted`, or its `key.id`.
pub(super) fn quoted(options: Option<&Value>) -> Result<Option<String>, ApiError> {
    let options = match options {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(options)) => options,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err(ApiError::bad_request("invalid_options", "options must be an object"));
        }
    };
    let id = match options.get("quoted") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(id)) => Some(id.as_str()),
        Some(message) => message.pointer("/key/id").and_then(Value::as_str),
    };
    let id = id.map(str::trim).filter(|id| (1..=MAX_MESSAGE_ID).contains(&id.len())).ok_or_else(|| {
        ApiError::bad_request("invalid_quoted", "options.quoted must be a message id or an object with key.id")
    })?;
    Ok(Some(id.to_owned()))
}
