//! `POST send-media` and a route for each kind of media: a file goes to the broker while it arrives, and then the gateway
//! is asked to send it.
//!
//! `upload_request` takes fields and file out of the request, `media_command` makes the command of them. A file that is not sent after all
//! is taken away again; one of which nobody knows the end stays until it is too old.

mod base64_file;
#[cfg(test)]
mod fuzz;
mod media_command;
mod part_head;
mod upload_body;
mod upload_request;

use super::{
    gateway_request::explain_failure,
    job_submission::schedule_message,
    send::{SendResult, queued_response, sent_response},
    send_request::RequestedSend,
};
use crate::{
    app_state::AppState,
    command_request::CommandFailure,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, SessionPath, UnknownFields, parse_fields},
    metrics::ApiCounter,
    response::ApiError,
};
use axum::extract::{Request, State};
use kurir_contract::{
    clock,
    command::{Command, IdempotencyKey, MediaKind, SendMedia, spec},
    session::SessionId,
};
use media_command::{MediaFields, read_media_command};
use serde_json::{Map, Value};
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
    // What `send-media` does not know it ignored always.
    let unknown = if kind.is_some() { UnknownFields::Refused } else { UnknownFields::Ignored };
    let read = read_fields(fields, unknown).and_then(|fields| read_media_command(fields, kind, file.as_ref(), key));
    let (RequestedSend { message: mut media, at, .. }, conversion) = match read {
        Ok(read) => read,
        Err(failure) => {
            if let Some(kept) = file {
                app.uploads.forget(&kept.file).await;
            }
            return Err(failure);
        }
    };
    if let Err(failure) = app.converter.complete(&app.uploads, &mut media, conversion).await {
        app.uploads.forget(&media.file).await;
        return Err(failure);
    }
    if let Some(id) = &media.quoted {
        let is_known = media.quote.as_ref().is_some_and(|quote| quote.content.is_some());
        if kind.is_some()
            && !is_known
            && let Err(unknown) = app.messages.require(session, id).await
        {
            app.uploads.forget(&media.file).await;
            return Err(unknown);
        }
        app.messages.complete_quote(session, id, &mut media.quote).await;
    }
    if let Some(at) = at {
        // The file stays in its store longer than a send may wait.
        let queued = schedule_message(app, session, Command::SendMedia, media.to.clone(), &media, at).await;
        if queued.is_err() {
            app.uploads.forget(&media.file).await;
        }
        return queued.map(|queued| queued_response(session, queued));
    }
    let sent = match app.gateway.ask(session, spec::SendMedia, &media).await {
        Err(CommandFailure::Queued(queued)) => return Ok(queued_response(session, queued)),
        sent => sent,
    };
    let counter = if sent.is_ok() { ApiCounter::MediaSent } else { ApiCounter::MediaFailed };
    app.metrics.count(counter, clock::now());
    match sent {
        Ok(sent) => Ok(sent_response(sent, "Media message sent successfully")),
        Err(error) => {
            tracing::warn!(session.id = %session, "failed to send media to {}: {error}", media.to.redacted());
            if is_over(&error) {
                app.uploads.forget(&media.file).await;
            }
            Err(explain_failure(app, session, Command::SendMedia, error).await)
        }
    }
}

/// Makes the command of a file that a job names, and keeps the file.
///
/// # Errors
/// If something is wrong with the fields or the file; the file does not stay behind then.
pub async fn prepare_job_file(app: &AppState, mut fields: Map<String, Value>) -> Result<SendMedia, ApiError> {
    let kind = fields.remove("kind").or_else(|| fields.remove("mediaType")).unwrap_or_default();
    let kind: MediaKind = kind.as_str().unwrap_or_default().parse().map_err(|_| {
        let all = MediaKind::ALL.map(MediaKind::as_str).join(", ");
        ApiError::new(ErrorCode::InvalidMediaType, format!("kind must be one of {all}"))
    })?;
    let UploadRequest { fields, file } = upload_request::take_from_fields(app, fields).await?;
    let read = read_fields(fields, UnknownFields::Refused)
        .and_then(|fields| read_media_command(fields, Some(kind), file.as_ref(), None));
    match read {
        Ok((RequestedSend { message: mut media, .. }, conversion)) => {
            match app.converter.complete(&app.uploads, &mut media, conversion).await {
                Ok(()) => Ok(media),
                Err(failure) => {
                    app.uploads.forget(&media.file).await;
                    Err(failure)
                }
            }
        }
        Err(failure) => {
            if let Some(kept) = file {
                app.uploads.forget(&kept.file).await;
            }
            Err(failure)
        }
    }
}

/// The fields besides the file.
fn read_fields(mut fields: Map<String, Value>, unknown: UnknownFields) -> Result<MediaFields, ApiError> {
    // Browsers say so in which charset a form is.
    fields.remove("_charset_");
    parse_fields(fields, unknown)
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
