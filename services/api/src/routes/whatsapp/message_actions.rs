//! `POST send-reaction`, `edit-message`, `revoke-message`: what is done to a message that is there.

use crate::extract::{IdempotencyHeader, SessionPath};
use crate::{app_state::AppState, extract::JsonObject, response::ApiError};
use axum::extract::State;
use kurir_contract::{
    address::ChatJid,
    command::{Command, SendEdit, SendReaction, SendRevoke},
};
use serde_json::{Map, Value};

use super::{
    jobs, parse_recipient,
    send_message::{MAX_MESSAGE_ID, SendResult, send, text},
};

/// The longest emoji (a family, a flag of a region) has some ten code points.
const LONGEST_EMOJI: usize = 32;

pub async fn send_reaction(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(idempotency_key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> SendResult {
    let (to, message_id) = (parse_recipient(fields.get("to"))?, message_id(&fields)?);
    let emoji = fields.get("emoji").and_then(Value::as_str).map(str::trim);
    let emoji = emoji.filter(|emoji| emoji.chars().count() <= LONGEST_EMOJI).ok_or_else(|| {
        ApiError::bad_request("invalid_reaction", "emoji must be one emoji, or \"\" to take the reaction back")
    })?;
    let from_me = match fields.get("fromMe") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(from_me)) => *from_me,
        Some(Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
            let text = "fromMe must be true or false: whether this account wrote the message";
            return Err(ApiError::bad_request("invalid_reaction", text));
        }
    };
    let participant = participant(&fields)?;
    if to.is_group() && !from_me && participant.is_none() {
        return Err(participant_missing());
    }
    let emoji = emoji.to_owned();
    let reaction = SendReaction { to: to.clone(), message_id, emoji, from_me, participant, idempotency_key };
    send(app, session, Command::SendReaction, to, reaction, jobs::send_at(&fields)?).await
}

pub async fn edit_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(idempotency_key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> SendResult {
    let (to, message_id) = (parse_recipient(fields.get("to"))?, message_id(&fields)?);
    let edit = SendEdit { to: to.clone(), message_id, text: text(fields.get("message"))?, idempotency_key };
    send(app, session, Command::SendEdit, to, edit, jobs::send_at(&fields)?).await
}

pub async fn revoke_message(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(idempotency_key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> SendResult {
    let (to, message_id, participant) =
        (parse_recipient(fields.get("to"))?, message_id(&fields)?, participant(&fields)?);
    if participant.is_some() && !to.is_group() {
        let text = "participant is for groups, whose administrators may delete what another wrote";
        return Err(ApiError::bad_request("invalid_participant", text));
    }
    let revoke = SendRevoke { to: to.clone(), message_id, participant, idempotency_key };
    send(app, session, Command::SendRevoke, to, revoke, jobs::send_at(&fields)?).await
}

fn message_id(fields: &Map<String, Value>) -> Result<String, ApiError> {
    is_message_id(fields.get("messageId"))
        .ok_or_else(|| ApiError::bad_request("invalid_message_id", "messageId is required: the id of the message"))
}

pub(super) fn is_message_id(given: Option<&Value>) -> Option<String> {
    let id = given.and_then(Value::as_str).map(str::trim);
    id.filter(|id| (1..=MAX_MESSAGE_ID).contains(&id.len())).map(str::to_owned)
}

/// Who wrote a message of a group.
pub(super) fn participant(fields: &Map<String, Value>) -> Result<Option<ChatJid>, ApiError> {
    let given = fields.get("participant").filter(|given| !given.is_null());
    let person = given.map(|given| parse_recipient(Some(given)).ok().filter(|person| !person.is_group()));
    match person {
        Some(None) => Err(ApiError::bad_request("invalid_participant", "participant must be the number of a person")),
        Some(person) => Ok(person),
        None => Ok(None),
    }
}

pub(super) fn participant_missing() -> ApiError {
    ApiError::bad_request("invalid_participant", "participant is required in a group: who wrote the message")
}
