//! `calls/{id}/reject`: a call that rings is turned down.

use super::{asked, people::person, session_name::Session};
use crate::{answer::Answer, app::App, body::Fields, parameters::Id};
use axum::{Json, extract::State};
use kurir_contract::command::{CallRejected, Command, RejectCall};
use serde_json::json;

pub async fn reject_call(
    State(app): State<App>,
    Session(session): Session,
    Id(call): Id,
    Fields(fields): Fields,
) -> Answer {
    let request = RejectCall { call, from: person(fields.get("from"))? };
    let CallRejected {} = asked(&app, &session, Command::RejectCall, &request).await?;
    Ok(Json(json!({"success": true, "message": "Call rejected"})))
}
