//! `POST send-poll`: a question and its options.

use crate::extract::{IdempotencyHeader, SessionPath};
use crate::{app_state::AppState, extract::JsonObject, response::ApiError};
use axum::extract::State;
use kurir_contract::command::{Command, IdempotencyKey, SendPoll};
use serde_json::{Map, Value};
use std::collections::HashSet;

use super::{
    jobs, parse_recipient,
    send_message::{SendResult, send},
};

/// What the apps let one write.
const LONGEST_NAME: usize = 255;
const LONGEST_OPTION: usize = 100;
/// WhatsApp's own bound.
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=12;

pub async fn send_poll(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> SendResult {
    let poll = read(&fields, key)?;
    send(app, session, Command::SendPoll, poll.to.clone(), poll, jobs::send_at_of_job(&fields)?).await
}

fn read(fields: &Map<String, Value>, idempotency_key: Option<IdempotencyKey>) -> Result<SendPoll, ApiError> {
    let to = parse_recipient(fields.get("to"))?;
    let name = line(fields.get("name"), LONGEST_NAME)
        .ok_or_else(|| invalid("name is required: the question, a string of at most 255 characters"))?;
    let options = options(fields.get("options"))
        .ok_or_else(|| invalid("options must be 2 to 12 different strings of 1 to 100 characters"))?;
    let selectable = match fields.get("selectable") {
        None | Some(Value::Null) => Some(1),
        Some(given) => given.as_u64().filter(|count| *count <= options.len() as u64),
    };
    let selectable = selectable
        .and_then(|count| u32::try_from(count).ok())
        .ok_or_else(|| invalid("selectable must be 0 (any number of options) or at most the number of options"))?;
    Ok(SendPoll { to, name, options, selectable, idempotency_key })
}

fn options(given: Option<&Value>) -> Option<Vec<String>> {
    let given = given?.as_array().filter(|given| OPTIONS.contains(&given.len()))?;
    let options: Vec<String> = given.iter().map(|option| line(Some(option), LONGEST_OPTION)).collect::<Option<_>>()?;
    // A vote tells options apart by their names alone.
    let different: HashSet<&String> = options.iter().collect();
    (different.len() == options.len()).then_some(options)
}

fn line(given: Option<&Value>, longest: usize) -> Option<String> {
    let text = given.and_then(Value::as_str).map(str::trim)?;
    (1..=longest).contains(&text.chars().count()).then(|| text.to_owned())
}

fn invalid(text: &'static str) -> ApiError {
    ApiError::bad_request("invalid_poll", text)
}
