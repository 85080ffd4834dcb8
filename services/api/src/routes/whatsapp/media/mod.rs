//! `POST send-media` and a route for each kind of media: a file goes to the broker while it arrives, and then the gateway
//! is asked to send it.
//!
//! `request` takes fields and file out of the request, `read` makes the command of them. A file that is not sent after all
//! is taken away again; one of which nobody knows the end stays until it is too old.

mod media_command;
mod upload_request;

use crate::extract::{IdempotencyHeader, SessionPath};
use crate::{
    app_state::AppState, command_error::gateway_error, command_request::CommandFailure, metrics::ApiCounter,
    response::ApiError,
};
use axum::extract::{Request, State};
use kurir_contract::{
    command::{Command, IdempotencyKey, MediaKind, SentMessage},
    session::SessionId,
};
use time::OffsetDateTime;
use upload_request::UploadRequest;

use super::{
    jobs,
    send_message::{SendResult, answer},
};

macro_rules! routes {
    ($($name:ident: $kind:expr;)+) => {
        $(pub async fn $name(
            State(app): State<AppState>,
            SessionPath(session): SessionPath,
            IdempotencyHeader(key): IdempotencyHeader,
            request: Request,
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

/// All of it goes on if its caller goes away: only whoever holds the file can take it away again.
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
    let media = match media_command::read(&fields, kind, file.as_ref(), key) {
        Ok(media) => media,
        Err(failure) => {
            if let Some(kept) = file {
                app.uploads.forget(&kept.file).await;
            }
            return Err(failure);
        }
    };
    let sent = match app.gateway.ask::<SentMessage>(session, Command::SendMedia, &media).await {
        Err(CommandFailure::Queued(queued)) => return Ok(jobs::queued(&queued)),
        sent => sent,
    };
    let counter = if sent.is_ok() { ApiCounter::MediaSent } else { ApiCounter::MediaFailed };
    app.metrics.count(counter, OffsetDateTime::now_utc());
    match sent {
        Ok(sent) => Ok(answer(&sent, "Media message sent successfully")),
        Err(error) => {
            tracing::warn!(session.id = %session, "failed to send media to {}: {error}", media.to.redacted());
            if is_over(&error) {
                app.uploads.forget(&media.file).await;
            }
            Err(gateway_error(error, Command::SendMedia, session))
        }
    }
}

/// Whether the gateway will not send the file any more; whoever asks again brings it again.
fn is_over(error: &CommandFailure) -> bool {
    match error {
        CommandFailure::BrokerAway | CommandFailure::NobodyThere | CommandFailure::Refused(_) => true,
        CommandFailure::Queued(_)
        | CommandFailure::BrokerLost
        | CommandFailure::NoAnswer
        | CommandFailure::Unreadable(_) => false,
    }
}
