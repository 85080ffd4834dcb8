//! `/api/dead-letters`: events that were given up, with their payload, and their way back.

use super::{endpoints::must_exist, replays};
use crate::{
    app_state::AppState,
    dead_letter_store::{StoredDeadLetter, not_found},
    extract::JsonObject,
    extract::{PathId, QueryParams, field_problem},
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::webhook::{ReplayRequest, ReplaySelection};
use serde_json::{Value, json};

/// The oldest first, after an id.
pub async fn list(State(app): State<AppState>, query: QueryParams) -> JsonResult {
    let (endpoint, limit) = (query.endpoint()?, query.limit()?);
    let after = query.get("after").unwrap_or("0").parse().map_err(|_| {
        ApiError::invalid("invalid_query", vec![field_problem("after", "must be the \"next\" of the page before")])
    })?;
    let page = app.dead_letters.page(endpoint.as_ref(), after, limit).await?;
    let data: Vec<Value> = page.letters.iter().map(shown).collect();
    Ok(Json(json!({"success": true, "data": data, "next": page.next})))
}

pub async fn show(State(app): State<AppState>, id: PathId) -> JsonResult {
    let letter = app.dead_letters.get(id.sequence().ok_or_else(not_found)?).await?;
    Ok(Json(json!({"success": true, "data": shown(&letter)})))
}

pub async fn remove(State(app): State<AppState>, id: PathId) -> JsonResult {
    app.dead_letters.delete(id.sequence().ok_or_else(not_found)?).await?;
    Ok(Json(json!({"success": true, "message": "Dead letter deleted"})))
}

/// One of them goes to its endpoint again.
pub async fn replay(State(app): State<AppState>, id: PathId) -> Result<(StatusCode, Json<Value>), ApiError> {
    let StoredDeadLetter { id: sequence, letter } = app.dead_letters.get(id.sequence().ok_or_else(not_found)?).await?;
    must_exist(&app, &letter.endpoint).await?;
    replays::start(&app, ReplayRequest { endpoint: letter.endpoint, of: ReplaySelection::DeadLetter { sequence } })
        .await
}

/// All of an endpoint.
pub async fn replay_all(
    State(app): State<AppState>,
    JsonObject(fields): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut problems = Vec::new();
    let endpoint = replays::endpoint_of(&fields, &[], &mut problems);
    let endpoint =
        endpoint.filter(|_| problems.is_empty()).ok_or_else(|| ApiError::invalid(replays::INVALID, problems))?;
    must_exist(&app, &endpoint).await?;
    replays::start(&app, ReplayRequest { endpoint, of: ReplaySelection::DeadLetters }).await
}

fn shown(letter: &StoredDeadLetter) -> Value {
    let mut shown = json!(letter.letter);
    shown["id"] = json!(letter.id);
    shown
}
