//! The ledger, the statistics and the clock.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::response::{ApiError, ApiResult, JsonBody, QueryParams};
use crate::{
    groups,
    ledger::{LedgerRecord, MessageState},
    phone_number::PhoneNumber,
    state::SharedState,
    statistics::TrafficStatistics,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageFilter {
    state: Option<MessageState>,
    contact: Option<PhoneNumber>,
    to: Option<PhoneNumber>,
    device: Option<u16>,
    group: Option<String>,
    id: Option<String>,
}

pub async fn list(
    State(shared): State<SharedState>,
    QueryParams(filter): QueryParams<MessageFilter>,
) -> Json<Vec<LedgerRecord>> {
    let group = filter.group.as_deref().map(groups::whole);
    let server = shared.lock();
    let lines = server
        .ledger
        .iter()
        .filter(|line| {
            filter.state.is_none_or(|state| line.state == state)
                && filter.contact.as_ref().is_none_or(|contact| line.contact == *contact)
                && filter.to.as_ref().is_none_or(|to| line.to == *to)
                && filter.device.is_none_or(|device| line.device == device)
                && filter.id.as_ref().is_none_or(|id| line.id == *id)
                && group.as_ref().is_none_or(|group| line.group.as_ref() == Some(group))
        })
        .cloned()
        .collect();
    Json(lines)
}

#[derive(Serialize, JsonSchema)]
pub struct StatisticsReport {
    messages: MessageCounts,
    connections: usize,
    people: usize,
    faults: usize,
    refusals: usize,
    #[serde(flatten)]
    statistics: TrafficStatistics,
}

#[derive(Serialize, JsonSchema)]
pub struct MessageCounts {
    queued: u64,
    sent: u64,
    acknowledged: u64,
}

pub async fn statistics(State(shared): State<SharedState>) -> Json<StatisticsReport> {
    let server = shared.lock();
    Json(StatisticsReport {
        messages: MessageCounts {
            queued: server.ledger.count(MessageState::Queued),
            sent: server.ledger.count(MessageState::Sent),
            acknowledged: server.ledger.count(MessageState::Acknowledged),
        },
        connections: server.connections.len(),
        people: server.people.iter().count(),
        faults: server.faults.len(),
        refusals: server.refusals.len(),
        statistics: server.statistics.clone(),
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClockOffset {
    #[serde(default)]
    days: i64,
    #[serde(default)]
    seconds: i64,
}

/// A hundred years either way: a timestamp stays a timestamp.
const MAX_OFFSET: i64 = 100 * 365 * 24 * 3_600;

pub async fn set_clock(
    State(shared): State<SharedState>,
    JsonBody(offset): JsonBody<ClockOffset>,
) -> ApiResult<Json<serde_json::Value>> {
    let seconds = offset
        .days
        .checked_mul(24 * 3_600)
        .and_then(|days| days.checked_add(offset.seconds))
        .filter(|seconds| seconds.abs() <= MAX_OFFSET)
        .ok_or_else(|| ApiError::bad("the clock moves by at most a hundred years"))?;
    shared.lock().clock_offset = seconds;
    Ok(clock(State(shared)).await)
}

pub async fn clock(State(shared): State<SharedState>) -> Json<serde_json::Value> {
    let server = shared.lock();
    Json(serde_json::json!({"now": server.now(), "offsetSeconds": server.clock_offset}))
}
