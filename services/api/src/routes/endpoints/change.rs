//! `PATCH` and `DELETE` of an endpoint, and its switch.

use super::{changeable, endpoint_input::EndpointRules, endpoint_view};
use crate::{app_state::AppState, extract::JsonObject, extract::PathId, response::JsonResult};
use axum::{Json, extract::State};
use kurir_contract::{clock, endpoint::EndpointSettings};
use serde_json::json;

pub async fn change(State(app): State<AppState>, id: PathId, JsonObject(fields): JsonObject) -> JsonResult {
    let id = changeable(id)?;
    let kept = app.events.kept().await?;
    let rules = EndpointRules { kept: &kept, allowed: &app.allowed_networks };
    let before = app.endpoints.get(&id).await?;
    let wanted = rules.read(fields.clone(), Some(&before))?;
    if wanted.enabled && !before.enabled {
        // First, as in `enable`: a dispatcher that found "failing for six days" then would disable it again at once.
        app.endpoints.forget_state(&id).await?;
    }
    let settings = app.endpoints.change(&id, |before| rules.read(fields.clone(), Some(before))).await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was changed");
    Ok(Json(json!({"success": true, "data": endpoint_view::endpoint(&id, &settings)})))
}

/// Also for one that is enabled and whose circuit is open: it is written in any case, so that the dispatchers look.
pub async fn enable(State(app): State<AppState>, id: PathId) -> JsonResult {
    let id = changeable(id)?;
    app.endpoints.get(&id).await?;
    app.endpoints.forget_state(&id).await?;
    let updated_at = clock::now_iso();
    let settings = app
        .endpoints
        .change(&id, |before| {
            let updated_at = updated_at.clone();
            Ok(EndpointSettings { enabled: true, disabled_reason: None, updated_at, ..before.clone() })
        })
        .await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was enabled");
    Ok(Json(json!({"success": true, "data": endpoint_view::endpoint(&id, &settings)})))
}

/// Its events wait in EVENTS meanwhile.
pub async fn disable(State(app): State<AppState>, id: PathId) -> JsonResult {
    let id = changeable(id)?;
    let settings = app
        .endpoints
        .change(&id, |before| Ok(EndpointSettings { enabled: false, disabled_reason: None, ..before.clone() }))
        .await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was disabled");
    Ok(Json(json!({"success": true, "data": endpoint_view::endpoint(&id, &settings)})))
}

pub async fn remove(State(app): State<AppState>, id: PathId) -> JsonResult {
    let id = changeable(id)?;
    app.endpoints.delete(&id).await?;
    tracing::info!(endpoint.id = %id, "the endpoint {id} was deleted");
    Ok(Json(json!({"success": true, "message": "Endpoint deleted"})))
}
