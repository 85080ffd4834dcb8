//! `POST mark-read`, `typing`, `presence`, `subscribe-presence`: signs of life. They are no sends: WhatsApp confirms none.

use crate::extract::SessionPath;
use crate::{
    app_state::AppState,
    command_error::gateway_error,
    extract::JsonObject,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    address::InvalidRecipient,
    command::{Command, EmptyBody, MarkRead, OwnPresence, SetPresence, ShowTyping, SubscribePresence, TypingState},
    session::SessionId,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    invalid_recipient,
    message_actions::{is_message_id, participant, participant_missing},
    parse_recipient,
};

/// As many as an app shows at once.
const MESSAGES: std::ops::RangeInclusive<usize> = 1..=100;

pub async fn mark_read(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let to = parse_recipient(fields.get("to"))?;
    let ids = fields.get("messageIds").and_then(Value::as_array).filter(|ids| MESSAGES.contains(&ids.len()));
    let ids = ids.and_then(|ids| ids.iter().map(|id| is_message_id(Some(id))).collect::<Option<Vec<_>>>());
    let message_ids = ids.ok_or_else(|| {
        ApiError::bad_request("invalid_message_id", "messageIds must be a list of 1 to 100 message ids")
    })?;
    let participant = participant(&fields)?;
    if to.is_group() && participant.is_none() {
        return Err(participant_missing());
    }
    let read = MarkRead { to, message_ids, participant };
    done(&app, &session, Command::MarkRead, &read, "Messages marked as read").await
}

pub async fn typing(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let to = parse_recipient(fields.get("to"))?;
    let state: TypingState = state(&fields, "state must be composing, recording or paused")?;
    done(&app, &session, Command::ShowTyping, &ShowTyping { to, state }, "Typing shown").await
}

pub async fn presence(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let state: OwnPresence = state(&fields, "state must be available or unavailable")?;
    done(&app, &session, Command::SetPresence, &SetPresence { state }, "Presence shown").await
}

pub async fn subscribe_presence(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let to = parse_recipient(fields.get("to"))?;
    if to.is_group() {
        return Err(invalid_recipient(InvalidRecipient::Format));
    }
    done(&app, &session, Command::SubscribePresence, &SubscribePresence { to }, "Presence subscribed").await
}

fn state<T: DeserializeOwned>(fields: &Map<String, Value>, right: &'static str) -> Result<T, ApiError> {
    let given = fields.get("state").cloned().unwrap_or_default();
    serde_json::from_value(given).map_err(|_| ApiError::bad_request("invalid_state", right))
}

async fn done(
    app: &AppState,
    session: &SessionId,
    command: Command,
    arguments: &(impl Serialize + Sync),
    text: &'static str,
) -> JsonResult {
    let EmptyBody {} =
        app.gateway.ask(session, command, arguments).await.map_err(|error| gateway_error(error, command, session))?;
    Ok(Json(json!({"success": true, "message": text})))
}
