//! Faults, set and taken away.

use std::time::Duration;

use axum::response::NoContent;
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};

use super::response::{ApiError, ApiResult, Created, JsonBody};
use crate::{
    faults::{FaultKind, FaultRule, MAX_FAULTS},
    state::SharedState,
    timers::TimerAction,
};

pub async fn add(
    State(shared): State<SharedState>,
    JsonBody(fault): JsonBody<FaultRule>,
) -> ApiResult<Created<serde_json::Value>> {
    if fault.code.is_some() && fault.kind != FaultKind::Nack {
        return Err(ApiError::bad("`code` belongs to a nack"));
    }
    if fault.delay_ms.is_some() && fault.kind != FaultKind::Delay {
        return Err(ApiError::bad("`delayMs` belongs to a delay"));
    }
    if fault.kind == FaultKind::Delay && fault.delay_ms.is_none() {
        return Err(ApiError::bad("a delay needs `delayMs`"));
    }
    if fault.kind.is_hush() && fault.times.is_some() {
        return Err(ApiError::bad("a silence is bounded by `seconds`, not by `times`"));
    }
    let mut server = shared.lock();
    if server.faults.len() >= MAX_FAULTS {
        return Err(ApiError::conflict(format!("there are {MAX_FAULTS} faults already")));
    }
    if fault.kind.is_hush()
        && let Some(seconds) = fault.seconds
    {
        // A moment later than its end, to find it ended.
        let end = Duration::from_secs(seconds) + Duration::from_millis(10);
        server.timers.after(end, TimerAction::WakeAll);
    }
    let id = server.faults.add(fault);
    Ok(Created(serde_json::json!({"id": id})))
}

pub async fn list(State(shared): State<SharedState>) -> Response {
    let server = shared.lock();
    let active: Vec<_> = server.faults.iter().collect();
    Json(active).into_response()
}

pub async fn clear(State(shared): State<SharedState>) -> NoContent {
    let mut server = shared.lock();
    server.faults.clear();
    server.wake_all();
    NoContent
}

pub async fn remove(State(shared): State<SharedState>, Path(id): Path<u64>) -> ApiResult<NoContent> {
    let mut server = shared.lock();
    if !server.faults.remove(id) {
        return Err(ApiError::not_found(format!("there is no fault {id}")));
    }
    server.wake_all();
    Ok(NoContent)
}
