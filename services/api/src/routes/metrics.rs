//! `/api/metrics`: the counters, and their reset.

use crate::{
    app_state::AppState,
    metrics::MetricsSnapshot,
    response::{DataResponse, JsonResult, MessageResponse, data_response, message_response},
};
use axum::extract::State;
use kurir_contract::clock;

pub async fn show(State(app): State<AppState>) -> JsonResult<DataResponse<MetricsSnapshot>> {
    Ok(data_response(app.metrics.snapshot(clock::now())))
}

pub async fn reset(State(app): State<AppState>) -> JsonResult<MessageResponse> {
    app.metrics.reset(clock::now());
    Ok(message_response("Metrics reset successfully"))
}
