//! `/api/deliveries`: every attempt, from the search index, and a selection of them again.

use super::{
    endpoints::require_endpoint,
    events::{page_of, read_page, text_value},
};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{JsonBody, PathId, QueryParams},
    fields::{CursorText, Field, FieldError, FieldErrors, FieldValue, Flag, PageLimit, Text, Timestamp, inline_schema},
    index::query::deliveries::{DeliveryFilter, DeliveryView, find_delivery, list_deliveries, selected_events},
    keys::Caller,
    response::{ApiError, DataResponse, JsonResult, PageResponse, data_response},
};
use axum::extract::State;
use kurir_contract::{
    endpoint::EndpointId,
    webhook::{MOST_SELECTED, Replay, ReplayRequest, ReplaySelection, WebhookCommand},
};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Events of one call; each replay takes a part of them.
const MOST_RESENT: usize = 10_000;
const OUTCOMES: [&str; 4] = ["delivered", "refused", "failed", "filtered"];

/// How an attempt ended.
struct Outcome(String);

/// The status of an answer, in a query or a body.
struct HttpStatus(u16);

/// Which attempts a list shows.
#[derive(Deserialize, JsonSchema)]
pub struct ListDeliveriesQuery {
    /// How many entries the page has at most.
    limit: Option<Field<PageLimit>>,
    /// The `next` of the page before.
    after: Option<Field<CursorText>>,
    #[serde(flatten)]
    selection: DeliverySelection,
}

/// Which attempts are meant; all conditions hold together.
#[derive(Deserialize, JsonSchema)]
pub struct DeliverySelection {
    /// Only attempts to this endpoint.
    endpoint: Option<Field<Text<1, 64>>>,
    /// Only attempts of this session's events.
    session: Option<Field<Text<1, 64>>>,
    /// Only attempts of this chat's events: its JID.
    chat: Option<Field<Text<1, 256>>>,
    /// Only attempts of events of this type; `message.*`: of all types that begin so.
    #[serde(rename = "type")]
    event_type: Option<Field<Text<1, 128>>>,
    /// Only attempts of this event.
    event: Option<Field<Text<1, 256>>>,
    /// Only attempts that ended so.
    outcome: Option<Field<Outcome>>,
    /// Only attempts with this status as the answer.
    status: Option<Field<HttpStatus>>,
    /// Only attempts that began then or later.
    since: Option<Field<Timestamp>>,
    /// Only attempts that began before.
    until: Option<Field<Timestamp>>,
}

impl DeliverySelection {
    fn read(self, errors: &mut FieldErrors, caller: &Caller) -> DeliveryFilter {
        DeliveryFilter {
            visible: caller.visible(),
            endpoint: text_value(errors.take_optional("endpoint", self.endpoint)),
            session: text_value(errors.take_optional("session", self.session)),
            chat: text_value(errors.take_optional("chat", self.chat)),
            event_type: text_value(errors.take_optional("type", self.event_type)),
            event_id: text_value(errors.take_optional("event", self.event)),
            outcome: errors.take_optional("outcome", self.outcome).map(|Outcome(outcome)| outcome),
            status: errors.take_optional("status", self.status).map(|HttpStatus(status)| status),
            since: errors.take_optional("since", self.since).map(|Timestamp(at)| at),
            until: errors.take_optional("until", self.until).map(|Timestamp(at)| at),
        }
    }
}

/// The newest first.
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<ListDeliveriesQuery>,
) -> JsonResult<PageResponse<DeliveryView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let page = read_page(&mut errors, query.limit, query.after);
    let filter = query.selection.read(&mut errors, &caller);
    errors.finish(|| Some(()))?;
    page_of(app.index.query(move |connection| list_deliveries(connection, &filter, &page)).await?)
}

pub async fn show(State(app): State<AppState>, caller: Caller, id: PathId) -> JsonResult<DataResponse<DeliveryView>> {
    let not_found = || ApiError::new(ErrorCode::DeliveryNotFound, "Delivery not found");
    let (id, visible) = (id.0.parse::<i64>().map_err(|_| not_found())?, caller.visible());
    let found = app.index.query(move |connection| find_delivery(connection, id, &visible)).await?;
    Ok(data_response(found.ok_or_else(not_found)?))
}

/// A selection of attempts whose events go to their endpoints again.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct ResendRequest {
    /// `true`, and if it is missing: only counts. `false`: delivers.
    dry_run: Option<Field<Flag>>,
    #[serde(flatten)]
    selection: DeliverySelection,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: Map<String, Value>,
}

/// What a resend is, or would be.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResendView {
    dry_run: bool,
    /// Events, each counted once for each endpoint.
    total: usize,
    endpoints: Vec<ResendEndpoint>,
}

/// The part of one endpoint.
#[derive(Serialize, JsonSchema)]
pub struct ResendEndpoint {
    endpoint: String,
    events: usize,
    /// The replays that deliver them; empty if it only counts.
    replays: Vec<Replay>,
}

/// Each event that the selection has goes to the endpoint of its attempt once more, under its own id.
pub async fn resend(
    State(app): State<AppState>,
    caller: Caller,
    JsonBody(body): JsonBody<ResendRequest>,
) -> JsonResult<DataResponse<ResendView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidSelection);
    errors.refuse_unknown(&body.unknown);
    let dry_run = errors.take_optional("dryRun", body.dry_run).is_none_or(|Flag(dry_run)| dry_run);
    let filter = body.selection.read(&mut errors, &caller);
    errors.finish(|| Some(()))?;
    let selected = app.index.query(move |connection| selected_events(connection, &filter, MOST_RESENT + 1)).await?;
    let total = selected.values().map(Vec::len).sum();
    if total > MOST_RESENT {
        let message = format!("The selection has more than {MOST_RESENT} events: name a shorter time or an endpoint");
        return Err(ApiError::new(ErrorCode::InvalidSelection, message));
    }
    let mut endpoints = Vec::new();
    for (endpoint, events) in selected {
        let replays = if dry_run { Vec::new() } else { resend_to(&app, &endpoint, &events).await? };
        endpoints.push(ResendEndpoint { endpoint, events: events.len(), replays });
    }
    Ok(data_response(ResendView { dry_run, total, endpoints }))
}

async fn resend_to(app: &AppState, endpoint: &str, events: &[u64]) -> Result<Vec<Replay>, ApiError> {
    let endpoint: EndpointId = endpoint.parse().map_err(|_| ApiError::internal())?;
    require_endpoint(app, &endpoint).await?;
    let mut replays = Vec::new();
    for part in events.chunks(MOST_SELECTED) {
        let of = ReplaySelection::Events { sequences: part.to_vec() };
        let request = ReplayRequest { endpoint: endpoint.clone(), of };
        replays.push(app.dispatchers.ask(WebhookCommand::Replay, &request).await?);
    }
    Ok(replays)
}

impl FieldValue for Outcome {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let known = given.as_str().filter(|outcome| OUTCOMES.contains(outcome));
        known
            .map(|outcome| Self(outcome.to_owned()))
            .ok_or_else(|| FieldError::predicate(format!("must be one of {}", OUTCOMES.join(", "))))
    }
}

impl FieldValue for HttpStatus {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let number = given.as_u64().or_else(|| given.as_str()?.parse().ok());
        number
            .and_then(|number| u16::try_from(number).ok())
            .filter(|status| (100..=599).contains(status))
            .map(Self)
            .ok_or_else(|| FieldError::predicate("must be a status of HTTP, as 503"))
    }
}

inline_schema!(Outcome, |_| json_schema!({"type": "string", "enum": OUTCOMES}));
inline_schema!(HttpStatus, |_| json_schema!({"type": "integer", "minimum": 100, "maximum": 599, "examples": [503]}));
