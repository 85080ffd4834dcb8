//! `POST forward-message`: what was said elsewhere. The caller has it: the `data` of its event.

use crate::{answer::Failure, app::App, body::Fields};
use axum::extract::State;
use kurir_contract::command::{Command, Forwarded, IdempotencyKey, SendForward};
use serde_json::{Map, Value, json};

use super::{
    idempotency::Key,
    jobs, recipient,
    send_message::{SendAnswer, send, text},
    session_name::Session,
};

const WRONG: &str =
    "message must be the data of a message.received or message.sent whose messageType is text, location or contact";

pub async fn forward_message(
    State(app): State<App>,
    Session(session): Session,
    Key(key): Key,
    Fields(fields): Fields,
) -> SendAnswer {
    let forward = read(&fields, key)?;
    send(app, session, Command::SendForward, forward.to.clone(), forward, jobs::send_at(&fields)?).await
}

fn read(fields: &Map<String, Value>, idempotency_key: Option<IdempotencyKey>) -> Result<SendForward, Failure> {
    let to = recipient(fields.get("to"))?;
    let wrong = || Failure::bad_request("invalid_forward", WRONG);
    let given = fields.get("message").and_then(Value::as_object).ok_or_else(wrong)?;
    let (kind, content) = (given.get("messageType"), given.get("content"));
    let message = match serde_json::from_value(json!({"messageType": kind, "content": content})) {
        Ok(Forwarded::Text { text: said }) => Forwarded::Text { text: text(Some(&Value::String(said)))? },
        Ok(place @ Forwarded::Location { .. }) => place,
        Ok(card @ Forwarded::Contact { .. }) => card,
        Err(_) => return Err(wrong()),
    };
    let score = given.get("forwardingScore").and_then(Value::as_u64).unwrap_or_default();
    Ok(SendForward { to, message, forwarding_score: u32::try_from(score).unwrap_or(u32::MAX), idempotency_key })
}
