//! `passkey`: pairing of an account that is linked in no other way. What the passkey signed is judged by the gateway, which
//! knows what it was asked.

use super::ask_gateway;
use crate::extract::SessionPath;
use crate::{app_state::AppState, extract::JsonObject, response::JsonResult};
use axum::{Json, extract::State};
use kurir_contract::command::{AnswerPasskey, Command, EmptyBody, PasskeyProgress};
use serde_json::json;

/// Where it stands, and what is to be signed.
pub async fn passkey(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult {
    let passkey: PasskeyProgress = ask_gateway(&app, &session, Command::Passkey, &EmptyBody {}).await?;
    Ok(Json(json!({"success": true, "data": passkey})))
}

/// The body is the credential itself, as the browser's `toJSON()` writes it.
pub async fn answer_passkey(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let request = AnswerPasskey { credential: fields.into() };
    let passkey: PasskeyProgress = ask_gateway(&app, &session, Command::AnswerPasskey, &request).await?;
    Ok(Json(json!({"success": true, "message": "Passkey answered", "data": passkey})))
}

/// The phone shows the same code.
pub async fn confirm_passkey(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult {
    let passkey: PasskeyProgress = ask_gateway(&app, &session, Command::ConfirmPasskey, &EmptyBody {}).await?;
    Ok(Json(json!({"success": true, "message": "Passkey confirmed", "data": passkey})))
}
