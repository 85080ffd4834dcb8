//! Hands jobs over to the gateway, which stores them before it answers.

use super::gateway_request::ask_gateway;
use crate::{app_state::AppState, error_code::ErrorCode, response::ApiError};
use kurir_contract::{
    address::ChatJid,
    clock,
    command::{Command, IdempotencyKey, QueuedSend, WaitReason, spec},
    job::{self, JobId, JobItem, JobRecord, SendJob},
    session::SessionId,
};
use serde::Serialize;
use time::OffsetDateTime;

/// Stores a job.
///
/// # Errors
/// If it is too large, or was not stored.
pub async fn submit_job(app: &AppState, session: &SessionId, job: &SendJob) -> Result<JobRecord, ApiError> {
    if serde_json::to_vec(job).map_or(usize::MAX, |job| job.len()) > job::LARGEST {
        let text = "The job is larger than 1 MB: split it into several";
        return Err(ApiError::new(ErrorCode::JobTooLarge, text));
    }
    ask_gateway(app, session, spec::SubmitJob, job).await
}

/// The id of a job: the same at every repeat with the same key.
pub fn job_id(session: &SessionId, key: Option<&IdempotencyKey>) -> JobId {
    key.map_or_else(JobId::random, |key| JobId::from_key(session, key))
}

/// Keeps one message until its time.
///
/// # Errors
/// If it was not stored.
pub async fn schedule_message(
    app: &AppState,
    session: &SessionId,
    command: Command,
    to: ChatJid,
    message: &impl Serialize,
    at: OffsetDateTime,
) -> Result<QueuedSend, ApiError> {
    let mut arguments = serde_json::to_value(message).map_err(|error| {
        tracing::error!("failed to write a message as JSON: {error}");
        ApiError::internal()
    })?;
    // The job has the caller's key, and its message one that is made of the job's id.
    let key = arguments.as_object_mut().and_then(|fields| fields.remove("idempotencyKey"));
    let key: Option<IdempotencyKey> = key.and_then(|key| key.as_str().and_then(|key| key.parse().ok()));
    let job = SendJob {
        id: job_id(session, key.as_ref()),
        name: None,
        created_at: clock::now_iso(),
        send_at: Some(clock::iso(at)),
        items: vec![JobItem { command: command.as_str().to_owned(), arguments, send_at: None }],
    };
    let record = submit_job(app, session, &job).await?;
    Ok(QueuedSend {
        message_id: job.id.item_key(0).message_id(session),
        job_id: record.id,
        to,
        until: record.send_at.unwrap_or_default(),
        reason: WaitReason::Scheduled,
    })
}
