//! `calls/{id}/reject`: a call that rings is turned down.

use super::{ask_gateway, contacts::person};
use crate::extract::SessionPath;
use crate::{app_state::AppState, extract::JsonObject, extract::PathId, response::JsonResult};
use axum::{Json, extract::State};
use kurir_contract::command::{CallRejected, Command, RejectCall};
use serde_json::json;

pub async fn reject_call(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    PathId(call): PathId,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let request = RejectCall { call, from: person(fields.get("from"))? };
    let CallRejected {} = ask_gateway(&app, &session, Command::RejectCall, &request).await?;
    Ok(Json(json!({"success": true, "message": "Call rejected"})))
}
