//! `/api/metrics`: the counters, and their reset.

use crate::{answer::Answer, app::App};
use axum::{Json, extract::State};
use serde_json::json;
use time::OffsetDateTime;

pub async fn show(State(app): State<App>) -> Answer {
    Ok(Json(json!({"success": true, "data": app.metrics.snapshot(OffsetDateTime::now_utc())})))
}

pub async fn reset(State(app): State<App>) -> Answer {
    app.metrics.reset(OffsetDateTime::now_utc());
    Ok(Json(json!({"success": true, "message": "Metrics reset successfully"})))
}
