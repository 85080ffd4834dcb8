//! `/api/index`: how far the search index of this replica is, and its making again; `/api/statistics` for charts.

use super::events::text_value;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::QueryParams,
    fields::{Field, FieldError, FieldErrors, FieldValue, Text, inline_schema},
    index::{
        Source,
        query::{
            milliseconds,
            statistics::{Statistics, statistics},
        },
    },
    response::{ApiError, DataResponse, JsonResult, MessageResponse, data_response, message_response},
};
use axum::extract::State;
use kurir_contract::clock;
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Parts of a chart.
const POINTS: i64 = 48;
const MOST_HOURS: i64 = 14 * 24;

/// The search index of this replica.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndexView {
    /// Whether it outlives a restart.
    on_disk: bool,
    /// `MESSAGE_STORE`: whether it has the text of messages.
    message_store: bool,
    /// `INDEX_RETENTION`.
    retention_seconds: u64,
    /// Whether it has all that the streams had a moment ago.
    caught_up: bool,
    streams: Vec<IndexStreamView>,
}

/// How far a stream is read.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndexStreamView {
    stream: &'static str,
    /// The last message that the index has.
    read: u64,
    /// The last message that the stream has.
    last: u64,
}

pub async fn show(State(app): State<AppState>) -> JsonResult<DataResponse<IndexView>> {
    let (mut streams, mut is_caught_up) = (Vec::new(), true);
    for source in Source::ALL {
        if !app.broker.is_connected() {
            return Err(ApiError::broker_unavailable());
        }
        let stream = app.broker.jetstream.get_stream(source.stream()).await;
        let stream = stream.map_err(|_| ApiError::broker_unavailable())?;
        let state = &stream.cached_info().state;
        let (read, last) = (app.index.position(source).await?, state.last_sequence);
        // What is older than the retention is never read.
        is_caught_up &= read >= last || state.last_timestamp < clock::now() - app.index.retention();
        streams.push(IndexStreamView { stream: source.stream(), read, last });
    }
    Ok(data_response(IndexView {
        on_disk: app.index.is_on_disk(),
        message_store: app.index.keeps_text(),
        retention_seconds: app.index.retention().as_secs(),
        caught_up: is_caught_up,
        streams,
    }))
}

/// It goes on behind the answer; `showIndex` says how far it is.
pub async fn rebuild(State(app): State<AppState>) -> JsonResult<MessageResponse> {
    app.index.rebuild();
    Ok(message_response("The index is being made again"))
}

/// Which attempts are counted.
#[derive(Deserialize, JsonSchema)]
pub struct StatisticsQuery {
    /// Only attempts to this endpoint.
    endpoint: Option<Field<Text<1, 64>>>,
    /// So many hours until now; 24 if it is missing.
    hours: Option<Field<Hours>>,
}

struct Hours(i64);

pub async fn show_statistics(
    State(app): State<AppState>,
    QueryParams(query): QueryParams<StatisticsQuery>,
) -> JsonResult<DataResponse<Statistics>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let endpoint = text_value(errors.take_optional("endpoint", query.endpoint));
    let hours = errors.take_optional("hours", query.hours).map_or(24, |Hours(hours)| hours);
    errors.finish(|| Some(()))?;
    // The present minute is part of it.
    let to = (milliseconds(clock::now()) / 60_000 + 1) * 60_000;
    let from = to - hours * 3_600_000;
    let counted =
        app.index.query(move |connection| statistics(connection, endpoint.as_deref(), (from, to), POINTS)).await?;
    Ok(data_response(counted))
}

impl FieldValue for Hours {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let hours = given.as_str().and_then(|hours| hours.parse().ok());
        hours
            .filter(|hours| (1..=MOST_HOURS).contains(hours))
            .map(Self)
            .ok_or_else(|| FieldError::predicate(format!("must be a whole number from 1 to {MOST_HOURS}")))
    }
}

inline_schema!(Hours, |_| json_schema!({"type": "integer", "minimum": 1, "maximum": MOST_HOURS, "default": 24}));
