//! Faults, set and taken away.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::answer::{Answer, Body, Error};
use crate::{
    faults::{Fault, Kind, MAX_FAULTS},
    timers::Action,
    world::Shared,
};

pub async fn add(
    State(shared): State<Shared>,
    Body(fault): Body<Fault>,
) -> Answer<(StatusCode, Json<serde_json::Value>)> {
    if fault.code.is_some() && fault.kind != Kind::Nack {
        return Err(Error::bad("`code` belongs to a nack"));
    }
    if fault.delay_ms.is_some() && fault.kind != Kind::Delay {
        return Err(Error::bad("`delayMs` belongs to a delay"));
    }
    if fault.kind == Kind::Delay && fault.delay_ms.is_none() {
        return Err(Error::bad("a delay needs `delayMs`"));
    }
    if fault.kind.is_hush() && fault.times.is_some() {
        return Err(Error::bad("a silence is bounded by `seconds`, not by `times`"));
    }
    let mut world = shared.lock();
    if world.faults.len() >= MAX_FAULTS {
        return Err(Error::conflict(format!("there are {MAX_FAULTS} faults already")));
    }
    if fault.kind.is_hush()
        && let Some(seconds) = fault.seconds
    {
        // A moment later than its end, to find it ended.
        let end = Duration::from_secs(seconds) + Duration::from_millis(10);
        world.timers.after(end, Action::WakeAll);
    }
    let id = world.faults.add(fault);
    Ok((StatusCode::CREATED, Json(serde_json::json!({"id": id}))))
}

pub async fn list(State(shared): State<Shared>) -> Response {
    let world = shared.lock();
    let active: Vec<_> = world.faults.iter().collect();
    Json(active).into_response()
}

pub async fn clear(State(shared): State<Shared>) -> StatusCode {
    let mut world = shared.lock();
    world.faults.clear();
    world.wake_all();
    StatusCode::NO_CONTENT
}

pub async fn remove(State(shared): State<Shared>, Path(id): Path<u64>) -> Answer<StatusCode> {
    let mut world = shared.lock();
    if !world.faults.remove(id) {
        return Err(Error::not_found(format!("there is no fault {id}")));
    }
    world.wake_all();
    Ok(StatusCode::NO_CONTENT)
}
