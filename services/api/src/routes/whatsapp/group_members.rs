//! `groups/{id}/participants` and `groups/{id}/admins`: who is in a group, and who administers it.

use super::{ask_gateway, groups::group, parse_recipient};
use crate::extract::SessionPath;
use crate::{
    app_state::AppState,
    extract::JsonObject,
    extract::PathId,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    address::ChatJid,
    command::{
        Command,
        group::{ChangeParticipants, MOST_PARTICIPANTS, ParticipantResults},
    },
    session::SessionId,
};
use serde_json::{Map, Value, json};

pub async fn add_participants(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    fields: JsonObject,
) -> JsonResult {
    change(app, session, Command::AddParticipants, id, fields).await
}

pub async fn remove_participants(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    fields: JsonObject,
) -> JsonResult {
    change(app, session, Command::RemoveParticipants, id, fields).await
}

pub async fn make_admins(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    fields: JsonObject,
) -> JsonResult {
    change(app, session, Command::PromoteParticipants, id, fields).await
}

pub async fn make_members(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    id: PathId,
    fields: JsonObject,
) -> JsonResult {
    change(app, session, Command::DemoteParticipants, id, fields).await
}

async fn change(
    app: AppState,
    session: SessionId,
    command: Command,
    id: PathId,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let request = ChangeParticipants { group: group(&id)?, participants: participants(&fields)? };
    if request.participants.is_empty() {
        return Err(invalid(String::new()));
    }
    let results: ParticipantResults = ask_gateway(&app, &session, command, &request).await?;
    Ok(Json(json!({"success": true, "data": results})))
}

/// Everybody once.
pub(super) fn participants(fields: &Map<String, Value>) -> Result<Vec<ChatJid>, ApiError> {
    let given = fields.get("participants").and_then(Value::as_array);
    let given = given.filter(|given| given.len() <= MOST_PARTICIPANTS).ok_or_else(|| invalid(String::new()))?;
    let mut people: Vec<ChatJid> = Vec::with_capacity(given.len());
    for (at, one) in given.iter().enumerate() {
        let person =
            parse_recipient(Some(one)).map_err(|failure| invalid(format!("; at {at}: {}", failure.message)))?;
        if person.is_group() {
            return Err(invalid(format!("; at {at}: a group is no participant")));
        }
        if !people.contains(&person) {
            people.push(person);
        }
    }
    Ok(people)
}

fn invalid(more: String) -> ApiError {
    let text = format!("participants must be a list of 1 to {MOST_PARTICIPANTS} phone numbers{more}");
    ApiError::bad_request("invalid_participants", text)
}
