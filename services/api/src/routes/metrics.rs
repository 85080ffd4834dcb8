//! `/api/metrics`: the counters, and their reset.

use crate::{app_state::AppState, response::JsonResult};
use axum::{Json, extract::State};
use serde_json::json;
use time::OffsetDateTime;

pub async fn show(State(app): State<AppState>) -> JsonResult {
    Ok(Json(json!({"success": true, "data": app.metrics.snapshot(OffsetDateTime::now_utc())})))
}

pub async fn reset(State(app): State<AppState>) -> JsonResult {
    app.metrics.reset(OffsetDateTime::now_utc());
    Ok(Json(json!({"success": true, "message": "Metrics reset successfully"})))
}
