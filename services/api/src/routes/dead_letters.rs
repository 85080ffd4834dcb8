//! `/api/dead-letters`: events that were given up, with their payload, and their way back.

use super::{
    endpoints::require_endpoint,
    replays::{EndpointIdField, start_replay},
};
use crate::{
    app_state::AppState,
    dead_letter_store::{StoredDeadLetter, not_found},
    error_code::ErrorCode,
    extract::{JsonBody, PathId, QueryParams},
    fields::{CursorText, Field, FieldErrors, PageLimit, PageQuery, QueryEndpoint},
    response::{
        AcceptedResponse, ApiError, DataResponse, JsonResult, MessageResponse, PageResponse, data_response,
        message_response, page_response,
    },
};
use axum::extract::State;
use kurir_contract::{
    delivery::{AttemptResult, DeadLetter},
    endpoint::EndpointId,
    event::{EventId, EventType},
    webhook::{Replay, ReplayRequest, ReplaySelection},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An event that was given up.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// Its sequence in DEAD_LETTERS.
    id: u64,
    event_id: EventId,
    event: EventType,
    endpoint: EndpointId,
    /// The event's sequence in EVENTS.
    sequence: u64,
    attempts: u32,
    /// Why it was given up, in words.
    reason: String,
    /// What the receiver did last; null if no attempt was possible.
    last: Option<AttemptResult>,
    /// When it was given up, ISO 8601.
    at: String,
    /// The body as it would have been delivered.
    payload: String,
}

impl From<StoredDeadLetter> for DeadLetterView {
    fn from(StoredDeadLetter { id, letter }: StoredDeadLetter) -> Self {
        let DeadLetter { event_id, event, endpoint, sequence, attempts, reason, last, at, payload } = letter;
        Self { id, event_id, event, endpoint, sequence, attempts, reason, last, at, payload }
    }
}

/// Which dead letters a list shows.
#[derive(Deserialize, JsonSchema)]
pub struct ListDeadLettersQuery {
    /// How many entries the page has at most.
    limit: Option<Field<PageLimit>>,
    /// The `next` of the page before.
    after: Option<Field<CursorText>>,
    /// Only dead letters of this endpoint.
    endpoint: Option<Field<QueryEndpoint>>,
}

/// The oldest first.
pub async fn list_dead_letters(
    State(app): State<AppState>,
    QueryParams(query): QueryParams<ListDeadLettersQuery>,
) -> JsonResult<PageResponse<DeadLetterView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let endpoint = errors.take_optional("endpoint", query.endpoint).map(|QueryEndpoint(endpoint)| endpoint);
    let (limit, after) = PageQuery { limit: query.limit, after: query.after }.read(&mut errors);
    let after = match after.as_deref().unwrap_or("0").parse() {
        Ok(after) => after,
        Err(_) => {
            errors.add("after", CursorText::invalid());
            0
        }
    };
    errors.finish(|| Some(()))?;
    let page = app.dead_letter_store.page(endpoint.as_ref(), after, limit).await?;
    let letters = page.letters.into_iter().map(DeadLetterView::from).collect();
    Ok(page_response(letters, page.next.map(|next| next.to_string())))
}

pub async fn show_dead_letter(State(app): State<AppState>, id: PathId) -> JsonResult<DataResponse<DeadLetterView>> {
    let letter = app.dead_letter_store.get(id.sequence().ok_or_else(not_found)?).await?;
    Ok(data_response(letter.into()))
}

pub async fn delete_dead_letter(State(app): State<AppState>, id: PathId) -> JsonResult<MessageResponse> {
    app.dead_letter_store.delete(id.sequence().ok_or_else(not_found)?).await?;
    Ok(message_response("Dead letter deleted"))
}

/// One of them goes to its endpoint again.
pub async fn replay_dead_letter(
    State(app): State<AppState>,
    id: PathId,
) -> Result<AcceptedResponse<DataResponse<Replay>>, ApiError> {
    let stored = app.dead_letter_store.get(id.sequence().ok_or_else(not_found)?).await?;
    let StoredDeadLetter { id: sequence, letter } = stored;
    require_endpoint(&app, &letter.endpoint).await?;
    let of = ReplaySelection::DeadLetter { sequence };
    start_replay(&app, ReplayRequest { endpoint: letter.endpoint, of }).await
}

/// Whose dead letters go to it again.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct ReplayDeadLettersRequest {
    endpoint: Field<EndpointIdField>,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: Map<String, Value>,
}

pub async fn replay_dead_letters(
    State(app): State<AppState>,
    JsonBody(body): JsonBody<ReplayDeadLettersRequest>,
) -> Result<AcceptedResponse<DataResponse<Replay>>, ApiError> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidReplay);
    errors.refuse_unknown(&body.unknown);
    let endpoint = errors.take("endpoint", body.endpoint);
    let EndpointIdField(endpoint) = errors.finish(|| endpoint)?;
    require_endpoint(&app, &endpoint).await?;
    start_replay(&app, ReplayRequest { endpoint, of: ReplaySelection::DeadLetters }).await
}
