//! `/api/events`: what happened, from the search index; an event with its data, from NATS; and its life.

use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{PathId, QueryParams},
    fields::{CursorText, Field, FieldErrors, PageLimit, PageQuery, Text, Timestamp},
    index::query::{
        Page, PageRequest,
        events::{EventFilter, EventSummary, find_event, list_events},
    },
    keys::Caller,
    life::{EventLife, read_life},
    response::{ApiError, DataResponse, JsonResult, PageResponse, data_response, page_response},
};
use axum::{Json, extract::State};
use kurir_contract::stream::EVENTS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// The API promises its 503 within 5 s.
const READ_WITHIN: Duration = Duration::from_secs(4);

/// Which events a list shows.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListEventsQuery {
    /// How many entries the page has at most.
    limit: Option<Field<PageLimit>>,
    /// The `next` of the page before.
    after: Option<Field<CursorText>>,
    /// Only events of this session.
    session: Option<Field<Text<1, 64>>>,
    /// Only events of this type; `message.*`: of all types that begin so.
    #[serde(rename = "type")]
    event_type: Option<Field<Text<1, 128>>>,
    /// Only events of this chat: its JID.
    chat: Option<Field<Text<1, 256>>>,
    /// Only events about this WhatsApp message.
    message_id: Option<Field<Text<1, 256>>>,
    /// Only events that were stored then or later.
    since: Option<Field<Timestamp>>,
    /// Only events that were stored before.
    until: Option<Field<Timestamp>>,
}

/// An event with its data.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    #[serde(flatten)]
    event: EventSummary,
    /// The body that receivers get; null if NATS does not have it any more.
    body: Option<Value>,
}

/// The newest first.
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<ListEventsQuery>,
) -> JsonResult<PageResponse<EventSummary>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let page = read_page(&mut errors, query.limit, query.after);
    let session = text_value(errors.take_optional("session", query.session));
    let event_type = text_value(errors.take_optional("type", query.event_type));
    let chat = text_value(errors.take_optional("chat", query.chat));
    let message_id = text_value(errors.take_optional("messageId", query.message_id));
    let since = errors.take_optional("since", query.since).map(|Timestamp(at)| at);
    let until = errors.take_optional("until", query.until).map(|Timestamp(at)| at);
    errors.finish(|| Some(()))?;
    let visible = caller.visible();
    let filter = EventFilter { visible, session, event_type, chat, message_id, since, until };
    page_of(app.index.query(move |connection| list_events(connection, &filter, &page)).await?)
}

pub async fn show(State(app): State<AppState>, caller: Caller, id: PathId) -> JsonResult<DataResponse<EventView>> {
    let event = require_event(&app, &caller, id.0).await?;
    let body = read_body(&app, event.sequence).await?;
    Ok(data_response(EventView { event, body }))
}

/// Everything that happened to it, in order.
pub async fn life(State(app): State<AppState>, caller: Caller, id: PathId) -> JsonResult<DataResponse<EventLife>> {
    let event = require_event(&app, &caller, id.0).await?;
    Ok(data_response(read_life(&app, event).await?))
}

async fn require_event(app: &AppState, caller: &Caller, id: String) -> Result<EventSummary, ApiError> {
    let visible = caller.visible();
    let found = app.index.query(move |connection| find_event(connection, &id, &visible)).await?;
    found.ok_or_else(|| ApiError::new(ErrorCode::EventNotFound, "Event not found"))
}

/// The payload in EVENTS; none if it is gone or no JSON.
async fn read_body(app: &AppState, sequence: u64) -> Result<Option<Value>, ApiError> {
    if !app.broker.is_connected() {
        return Err(ApiError::broker_unavailable());
    }
    let read = async {
        let stream = app.broker.jetstream.get_stream_no_info(EVENTS).await.ok()?;
        stream.direct_get(sequence).await.ok()
    };
    let message = tokio::time::timeout(READ_WITHIN, read).await.map_err(|_| ApiError::broker_unavailable())?;
    Ok(message.and_then(|message| serde_json::from_slice(&message.payload).ok()))
}

/// The limit and the cursor of a list of the index.
pub fn read_page(
    errors: &mut FieldErrors,
    limit: Option<Field<PageLimit>>,
    after: Option<Field<CursorText>>,
) -> PageRequest {
    let (limit, after) = PageQuery { limit, after }.read(errors);
    let before = after.and_then(|after| {
        let before = after.parse().ok();
        if before.is_none() {
            errors.add("after", CursorText::invalid());
        }
        before
    });
    PageRequest { limit, before }
}

pub fn text_value<const MIN: usize, const MAX: usize>(text: Option<Text<MIN, MAX>>) -> Option<String> {
    text.map(|Text(text)| text)
}

pub fn page_of<T>(page: Page<T>) -> JsonResult<PageResponse<T>> {
    Ok::<Json<_>, _>(page_response(page.rows, page.next))
}
