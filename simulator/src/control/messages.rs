//! The ledger, the statistics and the clock.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Asked, Body, Error};
use crate::{
    groups,
    ledger::{Record, State as MessageState},
    people::Number,
    statistics::Statistics,
    world::Shared,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    state: Option<MessageState>,
    contact: Option<Number>,
    to: Option<Number>,
    device: Option<u16>,
    group: Option<String>,
    id: Option<String>,
}

pub async fn list(State(shared): State<Shared>, Asked(filter): Asked<Filter>) -> Json<Vec<Record>> {
    let group = filter.group.as_deref().map(groups::whole);
    let world = shared.lock();
    let lines = world
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

#[derive(Serialize)]
pub struct Counts {
    messages: MessageCounts,
    connections: usize,
    people: usize,
    faults: usize,
    refusals: usize,
    #[serde(flatten)]
    statistics: Statistics,
}

#[derive(Serialize)]
pub struct MessageCounts {
    queued: u64,
    sent: u64,
    acknowledged: u64,
}

pub async fn statistics(State(shared): State<Shared>) -> Json<Counts> {
    let world = shared.lock();
    Json(Counts {
        messages: MessageCounts {
            queued: world.ledger.count(MessageState::Queued),
            sent: world.ledger.count(MessageState::Sent),
            acknowledged: world.ledger.count(MessageState::Acknowledged),
        },
        connections: world.connections.len(),
        people: world.people.iter().count(),
        faults: world.faults.len(),
        refusals: world.refusals.len(),
        statistics: world.statistics.clone(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Offset {
    #[serde(default)]
    days: i64,
    #[serde(default)]
    seconds: i64,
}

/// A hundred years either way: a timestamp stays a timestamp.
const MAX_OFFSET: i64 = 100 * 365 * 24 * 3_600;

pub async fn set_clock(State(shared): State<Shared>, Body(offset): Body<Offset>) -> Answer<Json<serde_json::Value>> {
    let seconds = offset
        .days
        .checked_mul(24 * 3_600)
        .and_then(|days| days.checked_add(offset.seconds))
        .filter(|seconds| seconds.abs() <= MAX_OFFSET)
        .ok_or_else(|| Error::bad("the clock moves by at most a hundred years"))?;
    shared.lock().clock_offset = seconds;
    Ok(clock(State(shared)).await)
}

pub async fn clock(State(shared): State<Shared>) -> Json<serde_json::Value> {
    let world = shared.lock();
    Json(serde_json::json!({"now": world.now(), "offsetSeconds": world.clock_offset}))
}
