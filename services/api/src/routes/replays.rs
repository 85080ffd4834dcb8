//! `/api/replays`: an endpoint's events since a time, delivered again. A dispatcher does it; these routes ask for it, show
//! it and end it.

use super::endpoints::require_endpoint;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId, QueryParams},
    fields::{
        CursorText, Field, FieldError, FieldErrors, FieldValue, PageLimit, PageQuery, QueryEndpoint, Timestamp,
        inline_schema,
    },
    response::{AcceptedResponse, ApiError, DataResponse, JsonResult, PageResponse, data_response, page_response},
};
use axum::extract::State;
use kurir_contract::{
    clock,
    endpoint::EndpointId,
    webhook::{Replay, ReplayReference, ReplayRequest, ReplaySelection, WebhookCommand},
};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// All events of an endpoint since a time.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct CreateReplayRequest {
    endpoint: Field<EndpointIdField>,
    /// A time that has passed.
    since: Field<Timestamp>,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: Map<String, Value>,
}

/// The id of an endpoint, in a body.
pub struct EndpointIdField(pub EndpointId);

pub async fn create_replay(
    State(app): State<AppState>,
    JsonBody(body): JsonBody<CreateReplayRequest>,
) -> Result<AcceptedResponse<DataResponse<Replay>>, ApiError> {
    let request = read_replay(body, clock::now())?;
    require_endpoint(&app, &request.endpoint).await?;
    start_replay(&app, request).await
}

/// Which replays a list shows.
#[derive(Deserialize, JsonSchema)]
pub struct ListReplaysQuery {
    /// How many entries the page has at most.
    limit: Option<Field<PageLimit>>,
    /// The `next` of the page before.
    after: Option<Field<CursorText>>,
    /// Only replays of this endpoint.
    endpoint: Option<Field<QueryEndpoint>>,
}

/// The newest first, as they were stored last.
pub async fn list_replays(
    State(app): State<AppState>,
    QueryParams(query): QueryParams<ListReplaysQuery>,
) -> JsonResult<PageResponse<Replay>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let endpoint = errors.take_optional("endpoint", query.endpoint).map(|QueryEndpoint(endpoint)| endpoint);
    let (limit, after) = PageQuery { limit: query.limit, after: query.after }.read(&mut errors);
    errors.finish(|| Some(()))?;
    let mut all = app.replay_store.all().await?;
    all.retain(|replay| endpoint.as_ref().is_none_or(|endpoint| replay.endpoint == *endpoint));
    if let Some(after) = after {
        let at = all.iter().position(|replay| replay.id == after);
        let at = at.ok_or_else(|| CursorText::invalid().into_api_error("after", ErrorCode::InvalidQuery))?;
        all.drain(..=at);
    }
    let has_more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| has_more).map(|last| last.id.clone());
    Ok(page_response(all, next))
}

pub async fn show_replay(State(app): State<AppState>, id: PathId) -> JsonResult<DataResponse<Replay>> {
    ask_about_replay(&app, id, WebhookCommand::ReplayProgress).await
}

/// What was not delivered yet will not be.
pub async fn cancel_replay(State(app): State<AppState>, id: PathId) -> JsonResult<DataResponse<Replay>> {
    ask_about_replay(&app, id, WebhookCommand::CancelReplay).await
}

async fn ask_about_replay(
    app: &AppState,
    PathId(id): PathId,
    command: WebhookCommand,
) -> JsonResult<DataResponse<Replay>> {
    app.replay_store.must_exist(&id).await?;
    Ok(data_response(app.dispatchers.ask(command, &ReplayReference { id }).await?))
}

/// Asks a dispatcher for a replay; it is stored when this returns, and goes on behind the answer.
///
/// # Errors
/// If no dispatcher took it.
pub async fn start_replay(
    app: &AppState,
    request: ReplayRequest,
) -> Result<AcceptedResponse<DataResponse<Replay>>, ApiError> {
    let replay: Replay = app.dispatchers.ask(WebhookCommand::Replay, &request).await?;
    tracing::info!(endpoint.id = %replay.endpoint, "the replay {} to the endpoint {} begins", replay.id, replay.endpoint);
    Ok(AcceptedResponse { location: format!("/api/replays/{}", replay.id), body: data_response(replay) })
}

fn read_replay(body: CreateReplayRequest, now: OffsetDateTime) -> Result<ReplayRequest, ApiError> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidReplay);
    errors.refuse_unknown(&body.unknown);
    let endpoint = errors.take("endpoint", body.endpoint);
    let since = errors.take("since", body.since).map(|Timestamp(since)| since);
    if since.is_some_and(|since| since > now) {
        errors.add("since", FieldError::predicate("is in the future"));
    }
    errors.finish(|| {
        let (EndpointIdField(endpoint), since) = (endpoint?, clock::iso(since?));
        Some(ReplayRequest { endpoint, of: ReplaySelection::Since { since } })
    })
}

impl FieldValue for EndpointIdField {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let id = given.as_str().and_then(|id| id.parse().ok());
        id.map(Self).ok_or_else(|| FieldError::predicate("must be the id of an endpoint"))
    }
}

inline_schema!(
    EndpointIdField,
    |_| json_schema!({"type": "string", "description": "The id of an endpoint.", "examples": ["default"]})
);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn a_replay_begins_at_a_time_that_was() {
        let now = datetime!(2026-11-24 12:00 UTC);
        let read = |body: Value| read_replay(serde_json::from_value(body).expect("reading never fails"), now);
        for (since, expected) in [
            ("2026-11-24T11:59:59.9999Z", Some("2026-11-24T11:59:59.999Z")),
            ("2026-11-24T12:00:00Z", Some("2026-11-24T12:00:00.000Z")),
            ("2026-11-24T18:00:00+07:00", Some("2026-11-24T11:00:00.000Z")),
            ("2026-11-24T12:00:00.001Z", None),
            ("2026-11-24", None),
            ("yesterday", None),
            ("", None),
        ] {
            let of = read(json!({"endpoint": "ep_1", "since": since})).ok().map(|request| request.of);
            assert_eq!(of, expected.map(|since| ReplaySelection::Since { since: since.to_owned() }), "{since}");
        }
        let problems = read(json!({"endpoint": "a b", "since": 7, "until": null})).expect_err("three").problems;
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["until", "endpoint", "since"]);
    }
}
