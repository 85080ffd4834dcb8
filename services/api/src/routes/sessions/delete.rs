//! `DELETE /api/sessions/{session}`: logs the session out, ends its jobs, wipes its keys and removes its record.

use super::{poll, publish_change};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{QueryParams, SessionPath},
    fields::{Field, FieldError, FieldErrors, FieldValue, inline_schema},
    response::{ApiError, DataResponse, JsonResult, data_response},
};
use axum::extract::State;
use kurir_contract::{
    command::{EmptyBody, SessionInfo, spec},
    event::EventType,
    job::JobReference,
    session::SessionId,
    session_record::{DesiredState, SessionRecord},
};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// How long the caller waits for a stopped session to connect, so that it can be logged out.
const CONNECTED_WITHIN: Duration = Duration::from_secs(15);
/// How long the caller waits for the gateway that wipes the keys.
const REMOVED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteSessionQuery {
    /// `true`: the account keeps this device; only the keys are wiped.
    keep_linked: Option<Field<KeepLinked>>,
}

pub struct KeepLinked(bool);

impl FieldValue for KeepLinked {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        match given.as_str() {
            Some("true") => Ok(Self(true)),
            Some("false") => Ok(Self(false)),
            _ => Err(FieldError::predicate("must be true or false")),
        }
    }
}

inline_schema!(KeepLinked, |_| json_schema!({"type": "boolean", "default": false}));

/// What the deletion did.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletedSession {
    id: SessionId,
    /// Whether the device was removed from the account; if not, remove it on the phone.
    logged_out: bool,
    /// Whether the keys are wiped; if not, the gateway that has them does it when it is back.
    keys_wiped: bool,
    /// The jobs that were cancelled.
    jobs_cancelled: usize,
}

pub async fn delete_session(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    QueryParams(query): QueryParams<DeleteSessionQuery>,
) -> JsonResult<DataResponse<DeletedSession>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let keeps = errors.take_optional("keepLinked", query.keep_linked).is_some_and(|KeepLinked(keeps)| keeps);
    errors.finish(|| Some(()))?;
    let record = app.session_store.get(&session).await?;
    let jobs_cancelled = cancel_jobs(&app, &session).await?;
    let logged_out = !keeps && log_out(&app, &session, &record).await?;
    let deleted = |before: SessionRecord| Ok(SessionRecord { desired: DesiredState::Deleted, ..before });
    let record = app.session_store.change(&session, deleted).await?;
    tracing::info!(session.id = %session, "the session {session} is to be deleted");
    publish_change(&app, EventType::SESSION_DELETED, &session, &record).await?;
    let keys_wiped = is_removed(&app, &session).await;
    Ok(data_response(DeletedSession { id: session, logged_out, keys_wiped, jobs_cancelled }))
}

async fn cancel_jobs(app: &AppState, session: &SessionId) -> Result<usize, ApiError> {
    let jobs = app.job_store.all(session).await?;
    let mut cancelled = 0;
    for job in jobs.into_iter().filter(|job| !job.state.is_end()) {
        // What no gateway cancels is removed with the session.
        let job = JobReference { id: job.id };
        cancelled += usize::from(app.gateway.ask(session, spec::CancelJob, &job).await.is_ok());
    }
    Ok(cancelled)
}

/// Whether the account no longer has this device. A stopped session is started for it.
async fn log_out(app: &AppState, session: &SessionId, record: &SessionRecord) -> Result<bool, ApiError> {
    if record.desired == DesiredState::Deleted {
        return Ok(false);
    }
    if record.desired == DesiredState::Stopped {
        if record.home.is_none() && *session != SessionId::default() {
            return Ok(false);
        }
        let started = |before: SessionRecord| Ok(SessionRecord { desired: DesiredState::Running, ..before });
        app.session_store.change(session, started).await?;
        let is_settled = |info: &SessionInfo| info.is_connected || info.status.is_end() || info.qr_code.is_some();
        poll(CONNECTED_WITHIN, || async { app.gateway.status(session).await.ok().filter(is_settled) }).await;
    }
    let is_connected = app.gateway.status(session).await.is_ok_and(|info| info.is_connected);
    if !is_connected {
        return Ok(false);
    }
    Ok(app.gateway.ask(session, spec::Logout, &EmptyBody {}).await.is_ok_and(|answer| answer.was_paired))
}

/// Whether a gateway has removed the session in time.
async fn is_removed(app: &AppState, session: &SessionId) -> bool {
    let removed = poll(REMOVED_WITHIN, || async {
        let is_stored = app.session_store.is_stored(session).await;
        is_stored.is_ok_and(|is_stored| !is_stored).then_some(())
    });
    removed.await.is_some()
}
