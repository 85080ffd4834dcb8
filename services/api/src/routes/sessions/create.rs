//! `POST /api/sessions`: a new session, which a gateway starts at once. It shows a QR code then.

use super::{
    publish_change,
    session_input::{CreateSessionRequest, read_new},
    session_view::SessionView,
};
use crate::{
    app_state::AppState,
    extract::JsonBody,
    response::{ApiError, CreatedResponse, DataResponse, data_response},
};
use axum::extract::State;
use kurir_contract::{clock, event::EventType, session_record::SessionRecord};

pub async fn create_session(
    State(app): State<AppState>,
    JsonBody(CreateSessionRequest(fields)): JsonBody<CreateSessionRequest>,
) -> Result<CreatedResponse<DataResponse<SessionView>>, ApiError> {
    let (id, record) = read_new(fields)?;
    let now = clock::now_iso();
    let record = SessionRecord { created_at: now.clone(), updated_at: now, ..record };
    app.session_store.create(&id, &record).await?;
    tracing::info!(session.id = %id, "the session {id} was made");
    publish_change(&app, EventType::SESSION_CREATED, &id, &record).await?;
    let location = format!("/api/sessions/{id}");
    Ok(CreatedResponse { location, body: data_response(SessionView::new(id, record, None)) })
}
