//! `contacts`, `blocklist`, `block`, `unblock`: who somebody is, and whom the account blocks.

use super::{ask_gateway, invalid_recipient, parse_recipient};
use crate::extract::SessionPath;
use crate::{
    app_state::AppState,
    extract::JsonObject,
    extract::PathId,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    address::{ChatJid, InvalidRecipient},
    command::{
        CheckNumber, Command, EmptyBody, NumberChecked,
        people::{BlockedContact, BlockedContacts, ContactDetails, PersonRequest},
    },
};
use serde_json::{Value, json};

/// Whether WhatsApp knows an account.
pub async fn check_number(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let number = person(fields.get("number"))?;
    let checked: NumberChecked = ask_gateway(&app, &session, Command::CheckNumber, &CheckNumber { number }).await?;
    Ok(Json(json!({"success": true, "data": checked})))
}

pub async fn contact(State(app): State<AppState>, SessionPath(session): SessionPath, id: PathId) -> JsonResult {
    let contact: ContactDetails =
        ask_gateway(&app, &session, Command::Contact, &PersonRequest { number: named(&id)? }).await?;
    Ok(Json(json!({"success": true, "data": contact})))
}

pub async fn blocklist(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult {
    let BlockedContacts { people } = ask_gateway(&app, &session, Command::Blocklist, &EmptyBody {}).await?;
    Ok(Json(json!({"success": true, "data": people})))
}

pub async fn block(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let request = PersonRequest { number: person(fields.get("number"))? };
    let blocked: BlockedContact = ask_gateway(&app, &session, Command::Block, &request).await?;
    Ok(Json(json!({"success": true, "message": "Blocked", "data": blocked})))
}

pub async fn unblock(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let request = PersonRequest { number: person(fields.get("number"))? };
    let blocked: BlockedContact = ask_gateway(&app, &session, Command::Unblock, &request).await?;
    Ok(Json(json!({"success": true, "message": "Unblocked", "data": blocked})))
}

/// The person in a route's path.
pub(super) fn named(id: &PathId) -> Result<ChatJid, ApiError> {
    person(Some(&Value::String(id.0.clone())))
}

/// Somebody; no group.
pub(super) fn person(given: Option<&Value>) -> Result<ChatJid, ApiError> {
    let person = parse_recipient(given)?;
    if person.is_group() { Err(invalid_recipient(InvalidRecipient::Format)) } else { Ok(person) }
}
