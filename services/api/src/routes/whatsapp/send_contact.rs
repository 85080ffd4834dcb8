//! `POST send-contact`: somebody's card, given as a vCard or made of a name and a number.

use crate::extract::{IdempotencyHeader, SessionPath};
use crate::{app_state::AppState, extract::JsonObject, response::ApiError};
use axum::extract::State;
use kurir_contract::{
    address::{ChatJid, InvalidRecipient},
    command::{Command, IdempotencyKey, SendContact},
};
use serde_json::{Map, Value};

use super::{
    invalid_recipient, jobs, parse_recipient,
    send_message::{SendResult, quoted, send},
};

/// More than the apps show.
const LONGEST_NAME: usize = 256;
/// A card with a small picture.
const LONGEST_CARD: usize = 64 * 1024;

pub async fn send_contact(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonObject(fields): JsonObject,
) -> SendResult {
    let contact = read(&fields, key)?;
    let to = contact.to.clone();
    send(app, session, Command::SendContact, to, contact, jobs::send_at(&fields)?).await
}

fn read(fields: &Map<String, Value>, idempotency_key: Option<IdempotencyKey>) -> Result<SendContact, ApiError> {
    let to = parse_recipient(fields.get("to"))?;
    let display_name = name(fields.get("displayName"))?;
    let vcard = match fields.get("vcard") {
        None | Some(Value::Null) => card_of(&display_name, &parse_recipient(fields.get("phoneNumber"))?)?,
        Some(card) => card_given(card)?,
    };
    Ok(SendContact { to, display_name, vcard, quoted: quoted(fields.get("options"))?, idempotency_key })
}

fn name(given: Option<&Value>) -> Result<String, ApiError> {
    let name = given.and_then(Value::as_str).map(str::trim);
    // A line break would be another line of the card.
    let fits = |name: &&str| (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.contains(char::is_control);
    let name = name.filter(fits).ok_or_else(|| {
        invalid(format!("displayName is required: a string of at most {LONGEST_NAME} characters on one line"))
    })?;
    Ok(name.to_owned())
}

fn card_given(card: &Value) -> Result<String, ApiError> {
    let card = card.as_str().map(str::trim);
    let fits = |card: &&str| card.len() <= LONGEST_CARD && card.starts_with("BEGIN:VCARD");
    let card = card
        .filter(fits)
        .ok_or_else(|| invalid("vcard must be a string that starts with BEGIN:VCARD, of at most 64 kB".to_owned()))?;
    Ok(card.to_owned())
}

/// With `waid`, from which the recipient's app offers to write to the contact.
fn card_of(name: &str, number: &ChatJid) -> Result<String, ApiError> {
    if number.server() != "s.whatsapp.net" {
        return Err(invalid_recipient(InvalidRecipient::Format));
    }
    let (name, digits) = (escaped(name), number.user());
    Ok(format!("BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL;type=CELL;waid={digits}:+{digits}\nEND:VCARD"))
}

/// As RFC 2426, section 4, has it.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,")
}

fn invalid(text: String) -> ApiError {
    ApiError::bad_request("invalid_contact", text)
}
