//! `/api/endpoints`: where events go, made and changed while everything runs.
//!
//! What a user writes is read by `endpoint_input`, what they see is shaped by `endpoint_view`; a chapter for each kind of change.

mod change;
mod create;
mod endpoint_input;
mod endpoint_view;
mod list;
mod secret;
mod test;

pub use change::{change, disable, enable, remove};
pub use create::create;
pub use list::list;
pub use secret::rotate;
pub use test::test;

use crate::{
    app_state::AppState,
    endpoint_backlog,
    endpoint_store::{StoredEndpoint, not_found},
    extract::PathId,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::endpoint::{EndpointId, EndpointSettings};
use serde_json::json;

/// One endpoint, how it fares and what waits for it.
pub async fn show(State(app): State<AppState>, id: PathId) -> JsonResult {
    let id = id.endpoint()?;
    let settings = settings(&app, &id).await?;
    let (state, backlog) =
        futures::try_join!(app.endpoints.state(&id), endpoint_backlog::read_endpoint_backlog(&app.broker, &id))?;
    let mut shown = endpoint_view::endpoint(&id, &settings);
    shown["circuit"] = json!(state.circuit);
    shown["failingSince"] = json!(state.failing_since);
    shown["lastError"] = json!(state.last_error);
    shown["backlog"] = json!(backlog);
    Ok(Json(json!({"success": true, "data": shown})))
}

/// Of the bucket, or of the environment.
async fn settings(app: &AppState, id: &EndpointId) -> Result<EndpointSettings, ApiError> {
    if id.is_default() {
        return default(app).map(|default| default.settings).ok_or_else(not_found);
    }
    app.endpoints.get(id).await
}

/// The endpoint of `WEBHOOK_URL`; none if that is not set.
fn default(app: &AppState) -> Option<StoredEndpoint> {
    let url = app.webhook_url.clone()?;
    // As the dispatchers have it.
    Some(StoredEndpoint {
        id: EndpointId::default(),
        settings: EndpointSettings { base64: true, ..EndpointSettings::new(url) },
    })
}

/// Refuses an endpoint that is not there.
pub async fn must_exist(app: &AppState, id: &EndpointId) -> Result<(), ApiError> {
    settings(app, id).await.map(drop)
}

/// Refuses what only the environment can change.
fn changeable(id: PathId) -> Result<EndpointId, ApiError> {
    let id = id.endpoint()?;
    if id.is_default() {
        let message =
            "The endpoint default comes from the environment: change WEBHOOK_URL and start the services again";
        return Err(ApiError::new(StatusCode::CONFLICT, "managed_by_environment", message));
    }
    Ok(id)
}
