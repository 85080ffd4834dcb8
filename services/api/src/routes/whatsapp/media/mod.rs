//! `POST send-media` and a route for each kind of media: a file goes to the broker while it arrives, and then the gateway
//! is asked to send it.
//!
//! `upload_request` takes fields and file out of the request, `media_command` makes the command of them. A file that is not sent after all
//! is taken away again; one of which nobody knows the end stays until it is too old.

mod media_command;
mod upload_body;
mod upload_request;

use super::send::{SendResult, queued_response, sent_response};
use crate::{
    app_state::AppState,
    command_error::gateway_error,
    command_request::CommandFailure,
    extract::{IdempotencyHeader, SessionPath},
    metrics::ApiCounter,
    response::ApiError,
};
use axum::extract::{Request, State};
use kurir_contract::{
    command::{Command, IdempotencyKey, MediaKind, spec},
    session::SessionId,
};
use media_command::{MediaFields, read_media_command};
use serde_json::Value;
use time::OffsetDateTime;
use upload_body::UploadBody;
use upload_request::UploadRequest;

macro_rules! routes {
    ($($name:ident: $kind:expr;)+) => {
        $(pub async fn $name(
            State(app): State<AppState>,
            SessionPath(session): SessionPath,
            IdempotencyHeader(key): IdempotencyHeader,
            UploadBody(request): UploadBody,
        ) -> SendResult {
            carry(app, session, key, $kind, request).await
        })+
    };
}

routes! {
    // The request says the kind.
    send_media: None;
    send_image: Some(MediaKind::Image);
    send_video: Some(MediaKind::Video);
    send_audio: Some(MediaKind::Audio);
    send_voice: Some(MediaKind::Voice);
    send_document: Some(MediaKind::Document);
    send_sticker: Some(MediaKind::Sticker);
}

/// Goes on if the caller goes away: only the task that holds the file can remove it.
async fn carry(
    app: AppState,
    session: SessionId,
    key: Option<IdempotencyKey>,
    kind: Option<MediaKind>,
    request: Request,
) -> SendResult {
    let carried = app.clone();
    app.carry(async move { send(&carried, &session, key, kind, request).await }).await.map_err(|panic| {
        tracing::error!("a send panicked: {panic}");
        ApiError::internal()
    })?
}

async fn send(
    app: &AppState,
    session: &SessionId,
    key: Option<IdempotencyKey>,
    kind: Option<MediaKind>,
    request: Request,
) -> SendResult {
    let UploadRequest { fields, file } = upload_request::take(app, request).await?;
    let media = match read_fields(fields).and_then(|fields| read_media_command(fields, kind, file.as_ref(), key)) {
        Ok(media) => media,
        Err(failure) => {
            if let Some(kept) = file {
                app.uploads.forget(&kept.file).await;
            }
            return Err(failure);
        }
    };
    let sent = match app.gateway.ask(session, spec::SendMedia, &media).await {
        Err(CommandFailure::Queued(queued)) => return Ok(queued_response(session, queued)),
        sent => sent,
    };
    let counter = if sent.is_ok() { ApiCounter::MediaSent } else { ApiCounter::MediaFailed };
    app.metrics.count(counter, OffsetDateTime::now_utc());
    match sent {
        Ok(sent) => Ok(sent_response(sent, "Media message sent successfully")),
        Err(error) => {
            tracing::warn!(session.id = %session, "failed to send media to {}: {error}", media.to.redacted());
            if is_over(&error) {
                app.uploads.forget(&media.file).await;
            }
            Err(gateway_error(error, Command::SendMedia, session))
        }
    }
}

/// Fields keep their own errors, so an object can always be read.
fn read_fields(fields: serde_json::Map<String, Value>) -> Result<MediaFields, ApiError> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        tracing::error!("failed to read the fields of a file: {error}");
        ApiError::internal()
    })
}

/// Whether the gateway will not send the file any more; a caller that asks again uploads it again.
fn is_over(error: &CommandFailure) -> bool {
    match error {
        CommandFailure::BrokerAway
        | CommandFailure::NobodyThere
        | CommandFailure::SessionMoving
        | CommandFailure::SessionStopped
        | CommandFailure::Refused(_) => true,
        CommandFailure::Queued(_)
        | CommandFailure::BrokerLost
        | CommandFailure::NoAnswer
        | CommandFailure::Unreadable(_) => false,
    }
}
