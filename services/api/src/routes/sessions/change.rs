//! `PATCH /api/sessions/{session}`, and its switch.

use super::{
    publish_change,
    session_input::{ChangeSessionRequest, read_changes},
    session_view::SessionView,
};
use crate::{
    app_state::AppState,
    extract::{JsonBody, SessionPath},
    response::{ApiError, DataResponse, JsonResult, data_response},
    session_store::not_found,
};
use axum::extract::State;
use kurir_contract::{
    event::EventType,
    session::SessionId,
    session_record::{DesiredState, SessionRecord},
};

/// New metadata and names hold at once; other changes start the session again.
pub async fn change_session(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(ChangeSessionRequest(fields)): JsonBody<ChangeSessionRequest>,
) -> JsonResult<DataResponse<SessionView>> {
    let change = |before: SessionRecord| {
        refuse_deleted(&before)?;
        read_changes(fields.clone(), before)
    };
    let record = app.session_store.change(&session, change).await?;
    tracing::info!(session.id = %session, "the session {session} was changed");
    let info = app.gateway.status(&session).await.ok();
    Ok(data_response(SessionView::new(session, record, info)))
}

pub async fn start_session(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
) -> JsonResult<DataResponse<SessionView>> {
    switch(&app, session, DesiredState::Running, EventType::SESSION_STARTED).await
}

/// It stays stopped until it is started, also across restarts of the gateways.
pub async fn stop_session(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
) -> JsonResult<DataResponse<SessionView>> {
    switch(&app, session, DesiredState::Stopped, EventType::SESSION_STOPPED).await
}

async fn switch(
    app: &AppState,
    session: SessionId,
    desired: DesiredState,
    event: EventType,
) -> JsonResult<DataResponse<SessionView>> {
    let before = app.session_store.get(&session).await?;
    let change = |before: SessionRecord| {
        refuse_deleted(&before)?;
        Ok(SessionRecord { desired, ..before })
    };
    let record = app.session_store.change(&session, change).await?;
    if before.desired != desired {
        tracing::info!(session.id = %session, "the session {session} is to be {desired:?}");
        publish_change(app, event, &session, &record).await?;
    }
    Ok(data_response(SessionView::new(session, record, None)))
}

fn refuse_deleted(record: &SessionRecord) -> Result<(), ApiError> {
    if record.desired == DesiredState::Deleted { Err(not_found()) } else { Ok(()) }
}
