//! `POST /api/endpoints`: a new one, which begins at its making.

use super::{endpoint_input::EndpointRules, endpoint_view};
use crate::{app_state::AppState, extract::JsonObject, response::ApiError};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::{
    clock,
    endpoint::{EndpointId, SigningSecret, StoredSecret},
};
use serde_json::{Value, json};

pub async fn create(
    State(app): State<AppState>,
    JsonObject(fields): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    // Before the endpoint is stored: what is published from here on is its, and nothing from before.
    let kept = app.events.kept().await?;
    let mut settings = EndpointRules { kept: &kept, allowed: &app.allowed_networks }.read(fields, None)?;
    if settings.secrets.is_empty() {
        settings.secrets.push(StoredSecret::new(SigningSecret::random()));
    }
    settings.start_sequence = kept.next_sequence;
    settings.created_at = clock::now_iso();
    settings.updated_at.clone_from(&settings.created_at);
    let id = EndpointId::random();
    app.endpoints.create(&id, &settings).await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was made");
    Ok((StatusCode::CREATED, Json(json!({"success": true, "data": endpoint_view::with_secret(&id, &settings)}))))
}
