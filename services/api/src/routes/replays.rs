//! `/api/replays`: an endpoint's events since a time, delivered again. A dispatcher does it; here it is asked for,
//! looked at and ended.

use super::endpoints::must_exist;
use crate::{
    app_state::AppState,
    extract::JsonObject,
    extract::{PathId, QueryParams, field_problem, parse_timestamp},
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State, http::StatusCode};
use kurir_contract::{
    clock,
    endpoint::{EndpointId, FieldProblem},
    webhook::{Replay, ReplayRequest, ReplayRequestId, ReplaySelection, WebhookCommand},
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

pub async fn create(
    State(app): State<AppState>,
    JsonObject(fields): JsonObject,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let request = read(&fields, OffsetDateTime::now_utc())?;
    must_exist(&app, &request.endpoint).await?;
    start(&app, request).await
}

/// The newest first, as they were stored last.
pub async fn list(State(app): State<AppState>, query: QueryParams) -> JsonResult {
    let (endpoint, limit) = (query.endpoint()?, query.limit()?);
    let mut all = app.replays.all().await?;
    all.retain(|replay| endpoint.as_ref().is_none_or(|endpoint| replay.endpoint == *endpoint));
    let begins = match query.get("after") {
        None => 0,
        Some(after) => all.iter().position(|replay| replay.id == after).map(|at| at + 1).ok_or_else(|| {
            ApiError::invalid("invalid_query", vec![field_problem("after", "must be the \"next\" of the page before")])
        })?,
    };
    let rest = &all[begins..];
    let page = &rest[..limit.min(rest.len())];
    let next = page.last().filter(|_| rest.len() > page.len()).map(|last| &last.id);
    Ok(Json(json!({"success": true, "data": page, "next": next})))
}

pub async fn show(State(app): State<AppState>, id: PathId) -> JsonResult {
    about(&app, id, WebhookCommand::ReplayProgress).await
}

/// What was not delivered yet will not be.
pub async fn cancel(State(app): State<AppState>, id: PathId) -> JsonResult {
    about(&app, id, WebhookCommand::CancelReplay).await
}

async fn about(app: &AppState, PathId(id): PathId, command: WebhookCommand) -> JsonResult {
    app.replays.must_exist(&id).await?;
    let replay: Replay = app.dispatchers.ask(command, &ReplayRequestId { id }).await?;
    Ok(Json(json!({"success": true, "data": replay})))
}

/// Asks a dispatcher for a replay; it is stored when this returns, and goes on behind the answer.
pub async fn start(app: &AppState, request: ReplayRequest) -> Result<(StatusCode, Json<Value>), ApiError> {
    let replay: Replay = app.dispatchers.ask(WebhookCommand::Replay, &request).await?;
    tracing::info!(endpoint.id = %replay.endpoint, "the replay {} to the endpoint {} begins", replay.id, replay.endpoint);
    Ok((StatusCode::ACCEPTED, Json(json!({"success": true, "data": replay}))))
}

fn read(fields: &Map<String, Value>, now: OffsetDateTime) -> Result<ReplayRequest, ApiError> {
    let mut problems = Vec::new();
    let endpoint = endpoint_of(fields, &["since"], &mut problems);
    let since = match fields.get("since").and_then(Value::as_str).map(|since| parse_timestamp("since", since)) {
        Some(Ok(since)) if since <= now => Some(since),
        Some(Ok(_)) => {
            problems.push(field_problem("since", "is in the future"));
            None
        }
        Some(Err(wrong)) => {
            problems.push(wrong);
            None
        }
        None => {
            problems.push(field_problem("since", "must be a time in ISO 8601, as 2026-11-24T13:00:00Z"));
            None
        }
    };
    match (endpoint, since) {
        (Some(endpoint), Some(since)) if problems.is_empty() => {
            Ok(ReplayRequest { endpoint, of: ReplaySelection::Since { since: clock::iso(since) } })
        }
        _ => Err(ApiError::invalid(INVALID, problems)),
    }
}

/// The code of a body that asks for no replay.
pub const INVALID: &str = "invalid_replay";

/// The endpoint that a body names. What is neither that nor one of the `others` is a problem too.
pub fn endpoint_of(
    fields: &Map<String, Value>,
    others: &[&str],
    problems: &mut Vec<FieldProblem>,
) -> Option<EndpointId> {
    for name in fields.keys().filter(|name| *name != "endpoint" && !others.contains(&name.as_str())) {
        problems.push(field_problem(name, "is not known"));
    }
    let endpoint = fields.get("endpoint").and_then(Value::as_str).and_then(|id| id.parse().ok());
    if endpoint.is_none() {
        problems.push(field_problem("endpoint", "must be the id of an endpoint"));
    }
    endpoint
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_replay_begins_at_a_time_that_was() {
        let now = datetime!(2026-11-24 12:00 UTC);
        let asked = |body: Value| read(body.as_object().expect("an object"), now);
        let at = |since: &str| asked(json!({"endpoint": "ep_1", "since": since}));
        for (since, expected) in [
            ("2026-11-24T11:59:59.9999Z", Some("2026-11-24T11:59:59.999Z")),
            ("2026-11-24T12:00:00Z", Some("2026-11-24T12:00:00.000Z")),
            ("2026-11-24T18:00:00+07:00", Some("2026-11-24T11:00:00.000Z")),
            ("2026-11-24T12:00:00.001Z", None),
            ("2026-11-24", None),
            ("yesterday", None),
            ("", None),
        ] {
            let of = at(since).ok().map(|request| request.of);
            assert_eq!(of, expected.map(|since| ReplaySelection::Since { since: since.to_owned() }), "{since}");
        }
        let problems = asked(json!({"endpoint": "a b", "since": 7, "until": null})).expect_err("three").problems;
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["until", "endpoint", "since"]);
    }
}
