//! `/api/dead-letters`: events that were given up, with their payload, and their way back.

use super::{endpoints::must_exist, replays};
use crate::{
    answer::{Answer, Failure},
    app::App,
    body::Fields,
    dead_letters::{Letter, not_found},
    parameters::{Id, Query, problem},
};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::webhook::{ReplayRequest, ReplaySelection};
use serde_json::{Value, json};

/// The oldest first, after an id.
pub async fn list(State(app): State<App>, query: Query) -> Answer {
    let (endpoint, limit) = (query.endpoint()?, query.limit()?);
    let after = query.get("after").unwrap_or("0").parse().map_err(|_| {
        Failure::invalid("invalid_query", vec![problem("after", "must be the \"next\" of the page before")])
    })?;
    let page = app.dead_letters.page(endpoint.as_ref(), after, limit).await?;
    let data: Vec<Value> = page.letters.iter().map(shown).collect();
    Ok(Json(json!({"success": true, "data": data, "next": page.next})))
}

pub async fn show(State(app): State<App>, id: Id) -> Answer {
    let letter = app.dead_letters.get(id.sequence().ok_or_else(not_found)?).await?;
    Ok(Json(json!({"success": true, "data": shown(&letter)})))
}

pub async fn remove(State(app): State<App>, id: Id) -> Answer {
    app.dead_letters.delete(id.sequence().ok_or_else(not_found)?).await?;
    Ok(Json(json!({"success": true, "message": "Dead letter deleted"})))
}

/// One of them goes to its endpoint again.
pub async fn replay(State(app): State<App>, id: Id) -> Result<(StatusCode, Json<Value>), Failure> {
    let Letter { id: sequence, letter } = app.dead_letters.get(id.sequence().ok_or_else(not_found)?).await?;
    must_exist(&app, &letter.endpoint).await?;
    replays::start(&app, ReplayRequest { endpoint: letter.endpoint, of: ReplaySelection::DeadLetter { sequence } })
        .await
}

/// All of an endpoint.
pub async fn replay_all(State(app): State<App>, Fields(fields): Fields) -> Result<(StatusCode, Json<Value>), Failure> {
    let mut problems = Vec::new();
    let endpoint = replays::endpoint_of(&fields, &[], &mut problems);
    let endpoint =
        endpoint.filter(|_| problems.is_empty()).ok_or_else(|| Failure::invalid(replays::INVALID, problems))?;
    must_exist(&app, &endpoint).await?;
    replays::start(&app, ReplayRequest { endpoint, of: ReplaySelection::DeadLetters }).await
}

fn shown(letter: &Letter) -> Value {
    let mut shown = json!(letter.letter);
    shown["id"] = json!(letter.id);
    shown
}
