//! Hands one message over to the gateway and says how it ended: sent, or kept until later.

use super::{
    gateway_request::{explain_failure, session_path},
    job_submission,
    message_completion::MessageCompletion,
    send_request::{RequestedSend, SendRequest},
};
use crate::{
    app_state::AppState,
    command_request::CommandFailure,
    metrics::ApiCounter,
    response::{AcceptedResponse, ApiError, json_response_doc},
};
use aide::{
    OperationOutput,
    generate::GenContext,
    openapi::{Operation, Response as ResponseDoc, StatusCode as StatusDoc},
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use kurir_contract::{
    address::ChatJid,
    clock,
    command::{CommandSpec, IdempotencyKey, QueuedSend, SentMessage, WaitReason},
    job::JobId,
    session::SessionId,
};
use schemars::JsonSchema;
use serde::Serialize;

/// A message that WhatsApp has taken.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentResponse {
    #[schemars(extend("const" = true))]
    success: bool,
    message_id: String,
    message: &'static str,
    /// Where it went.
    to: ChatJid,
    /// The try that WhatsApp took, counted from 1.
    attempt: u32,
}

/// A message that goes out later, under the id that this answer names.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedResponse {
    #[schemars(extend("const" = true))]
    success: bool,
    #[schemars(extend("const" = "queued"))]
    status: &'static str,
    job_id: JobId,
    message_id: String,
    to: ChatJid,
    /// Not before, ISO 8601.
    until: String,
    reason: WaitReason,
    message: &'static str,
}

/// 200 once it is sent, 202 if it goes out later.
pub enum SendResponse {
    Sent(SentResponse),
    Queued(AcceptedResponse<QueuedResponse>),
}

pub type SendResult = Result<SendResponse, ApiError>;

impl IntoResponse for SendResponse {
    fn into_response(self) -> Response {
        match self {
            Self::Sent(sent) => Json(sent).into_response(),
            Self::Queued(queued) => queued.into_response(),
        }
    }
}

impl OperationOutput for SendResponse {
    type Inner = SentResponse;

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<StatusDoc>, ResponseDoc)> {
        let mut responses = json_response_doc::<SentResponse>(StatusCode::OK, context, operation);
        responses.extend(json_response_doc::<QueuedResponse>(StatusCode::ACCEPTED, context, operation));
        responses
    }
}

/// Reads a request, hands its message over, counts it, and says how it ended; or has it kept until its time.
///
/// # Errors
/// If the message was not sent.
pub async fn send_request<R: SendRequest>(
    app: AppState,
    session: SessionId,
    key: Option<IdempotencyKey>,
    request: R,
) -> SendResult
where
    R::Command: Default,
{
    let mut read = request.read(key)?;
    if let Some(id) = R::refers_to(&read.message) {
        app.messages.require(&session, id).await?;
    }
    if let Some((id, quote)) = R::quoting(&mut read.message) {
        if R::REQUIRES_QUOTED && quote.as_ref().is_none_or(|quote| quote.content.is_none()) {
            app.messages.require(&session, id).await?;
        }
        MessageCompletion::new(&app, &session).complete_quote(id, quote).await;
    }
    if let Some(preview) = R::link_preview(&mut read.message) {
        MessageCompletion::new(&app, &session).complete_preview(preview).await;
    }
    send(app, session, R::Command::default(), read).await
}

/// As [`send_request`], of a message that was read.
///
/// # Errors
/// If the message was not sent.
pub async fn send<C: CommandSpec<Answer = SentMessage>>(
    app: AppState,
    session: SessionId,
    command: C,
    RequestedSend { to, message, at }: RequestedSend<C>,
) -> SendResult {
    if let Some(at) = at {
        let queued = job_submission::schedule_message(&app, &session, C::COMMAND, to, &message, at).await?;
        return Ok(queued_response(&session, queued));
    }
    let carried = app.clone();
    app.carry(async move { hand_over(&carried, &session, command, &to, &message).await }).await.map_err(|panic| {
        tracing::error!("a send panicked: {panic}");
        ApiError::internal()
    })?
}

async fn hand_over<C: CommandSpec<Answer = SentMessage>>(
    app: &AppState,
    session: &SessionId,
    command: C,
    to: &ChatJid,
    message: &C::Request,
) -> SendResult {
    let sent = match app.gateway.ask(session, command, message).await {
        Err(CommandFailure::Queued(queued)) => return Ok(queued_response(session, queued)),
        sent => sent,
    };
    let counter = if sent.is_ok() { ApiCounter::MessagesSent } else { ApiCounter::MessagesFailed };
    app.metrics.count(counter, clock::now());
    match sent {
        Ok(sent) => Ok(sent_response(sent, "Message sent successfully")),
        Err(error) => {
            tracing::warn!(session.id = %session, "failed to send to {}: {error}", to.redacted());
            Err(explain_failure(app, session, C::COMMAND, error).await)
        }
    }
}

/// The answer for a message that was sent, with the text of its route.
pub fn sent_response(SentMessage { message_id, to, attempt }: SentMessage, message: &'static str) -> SendResponse {
    SendResponse::Sent(SentResponse { success: true, message_id, message, to, attempt })
}

/// The answer for a message that goes out later.
pub fn queued_response(session: &SessionId, queued: QueuedSend) -> SendResponse {
    let QueuedSend { job_id, message_id, to, until, reason } = queued;
    let location = session_path(session, &format!("jobs/{job_id}"));
    let message = "Message queued";
    let body = QueuedResponse { success: true, status: "queued", job_id, message_id, to, until, reason, message };
    SendResponse::Queued(AcceptedResponse { location, body: Json(body) })
}
