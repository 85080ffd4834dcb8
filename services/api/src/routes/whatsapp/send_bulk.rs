//! `POST send-bulk`: up to 100 texts, one after the other, a second apart; the answer says how each of them ended.
//!
//! The route checks the whole request before the first send. What nobody could send at all (no session, no broker) is an
//! error, as of a single message; after that each message has its own result.

use super::{
    gateway_request::explain_failure,
    job_submission::schedule_message,
    message_completion::MessageCompletion,
    text_message::{BulkItem, SendMessageRequest, read_bulk_item},
};
use crate::{
    app_state::AppState,
    command_request::CommandFailure,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, LenientJsonBody, SessionPath, UnknownFields},
    fields::{Field, FieldError, FieldValue, SendOptions, inline_schema, options_or_default},
    metrics::ApiCounter,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    address::ChatJid,
    clock,
    command::{Command, CommandErrorCode, QueuedSend, SentMessage, spec},
    session::SessionId,
};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{borrow::Cow, time::Duration};

/// The contract's bound.
const MOST: usize = 100;
/// Between the end of a send and the next one.
const PAUSE: Duration = Duration::from_secs(1);
const STOPPING: &str = "The API is being stopped; this message was not sent";

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendBulkRequest {
    messages: Field<BulkMessages>,
    /// Its `sendAt` is that of every message that has none of its own.
    options: Option<Field<SendOptions>>,
}

/// The messages as the caller wrote them; [`read_bulk_item`] reads each.
struct BulkMessages(Vec<Value>);

impl FieldValue for BulkMessages {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let Value::Array(messages) = given else {
            return Err(FieldError::sentence(ErrorCode::InvalidMessages, "Messages must be an array"));
        };
        if messages.is_empty() {
            return Err(FieldError::sentence(ErrorCode::NoMessages, "Messages array cannot be empty"));
        }
        if messages.len() > MOST {
            let text = "Too many messages. Maximum 100 messages per bulk request";
            return Err(FieldError::sentence(ErrorCode::TooManyMessages, text));
        }
        Ok(Self(messages.clone()))
    }
}

inline_schema!(BulkMessages, |generator| {
    let item = generator.subschema_for::<SendMessageRequest>();
    json_schema!({"type": "array", "minItems": 1, "maxItems": MOST, "items": item})
});

/// How the messages ended.
#[derive(Serialize, JsonSchema)]
pub struct BulkResponse {
    #[schemars(extend("const" = true))]
    success: bool,
    message: &'static str,
    summary: BulkSummary,
    /// In the order of the request.
    results: Vec<BulkResult>,
}

#[derive(Serialize, JsonSchema)]
struct BulkSummary {
    total: usize,
    success: usize,
    failed: usize,
}

/// How one message ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BulkResult {
    /// The JID that the message went to, or what the request named.
    to: Value,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// `queued` if the message goes out later, at `until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Why the message was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'static, str>>,
}

impl BulkResult {
    fn sent(to: &ChatJid, message_id: String) -> Self {
        Self {
            to: to.as_str().into(),
            success: true,
            message_id: Some(message_id),
            status: None,
            until: None,
            error: None,
        }
    }

    fn queued(QueuedSend { message_id, to, until, .. }: QueuedSend) -> Self {
        Self { status: Some("queued"), until: Some(until), ..Self::sent(&to, message_id) }
    }

    fn failed(to: Value, error: Cow<'static, str>) -> Self {
        Self { to, success: false, message_id: None, status: None, until: None, error: Some(error) }
    }
}

pub async fn send_bulk(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    LenientJsonBody(body): LenientJsonBody<SendBulkRequest>,
) -> JsonResult<BulkResponse> {
    let BulkMessages(messages) = body.messages.checked("messages", ErrorCode::InvalidMessages)?;
    let at = options_or_default(body.options)?.send_at()?;
    let read = |(index, message)| read_bulk_item(index, message, UnknownFields::Ignored);
    let mut items: Vec<BulkItem> = messages.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    for (index, item) in items.iter_mut().enumerate() {
        item.at = item.at.or(at);
        item.message.idempotency_key = key.as_ref().map(|key| key.part(index));
    }
    let mut completion = MessageCompletion::new(&app, &session);
    for BulkItem { message, .. } in &mut items {
        if let Some(id) = &message.quoted {
            completion.complete_quote(id, &mut message.quote).await;
        }
        completion.complete_preview(&mut message.link_preview).await;
    }
    drop(completion);
    app.metrics.count(ApiCounter::BulkRequests, clock::now());
    let carried = app.clone();
    app.carry(async move { send_items(&carried, &session, items).await }).await.map_err(|panic| {
        tracing::error!("a bulk send panicked: {panic}");
        ApiError::internal()
    })?
}

async fn send_items(app: &AppState, session: &SessionId, items: Vec<BulkItem>) -> JsonResult<BulkResponse> {
    let total = items.len();
    let mut results = Vec::with_capacity(total);
    let mut has_sent = false;
    for (index, BulkItem { to, message, at }) in items.into_iter().enumerate() {
        if has_sent && at.is_none() && !app.is_stopping() {
            tokio::time::sleep(PAUSE).await;
        }
        if app.is_stopping() {
            count_message(app, false);
            results.push(BulkResult::failed(to, STOPPING.into()));
            continue;
        }
        if let Some(at) = at {
            let queued = schedule_message(app, session, Command::SendText, message.to.clone(), &message, at).await;
            count_message(app, queued.is_ok());
            results.push(match queued {
                Ok(queued) => BulkResult::queued(queued),
                // What nobody could store at all is an error, as of a single message.
                Err(error) if index == 0 => return Err(error),
                Err(error) => BulkResult::failed(to, error.message),
            });
            continue;
        }
        has_sent = true;
        let sent = app.gateway.ask(session, spec::SendText, &message).await;
        count_message(app, matches!(sent, Ok(_) | Err(CommandFailure::Queued(_))));
        results.push(match sent {
            Ok(SentMessage { message_id, to, .. }) => BulkResult::sent(&to, message_id),
            Err(CommandFailure::Queued(queued)) => BulkResult::queued(queued),
            Err(error) => {
                tracing::warn!(session.id = %session, "failed to send to {}: {error}", message.to.redacted());
                let is_about_session = is_about_session(&error);
                let error = explain_failure(app, session, Command::SendText, error).await;
                if index == 0 && is_about_session {
                    return Err(error);
                }
                BulkResult::failed(to, error.message)
            }
        });
    }
    let success = results.iter().filter(|result| result.success).count();
    let summary = BulkSummary { total, success, failed: total - success };
    Ok(Json(BulkResponse { success: true, message: "Bulk messages processed", summary, results }))
}

fn count_message(app: &AppState, is_sent: bool) {
    let counter = if is_sent { ApiCounter::BulkMessagesSent } else { ApiCounter::BulkMessagesFailed };
    app.metrics.count(counter, clock::now());
}

/// Whether the error is about the session and not about this message.
fn is_about_session(error: &CommandFailure) -> bool {
    match error {
        CommandFailure::BrokerAway
        | CommandFailure::NobodyThere
        | CommandFailure::SessionMoving
        | CommandFailure::SessionStopped => true,
        CommandFailure::Refused(refusal) => refusal.code == CommandErrorCode::NotConnected,
        // What was handed over may have been sent; its result says so.
        CommandFailure::Queued(_)
        | CommandFailure::BrokerLost
        | CommandFailure::NoAnswer
        | CommandFailure::Unreadable(_) => false,
    }
}
