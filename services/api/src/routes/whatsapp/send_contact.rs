//! `POST send-contact`: somebody's card, given as a vCard or made of a name and a number.

use super::send::{SendResult, send};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, JsonBody, SessionPath},
    fields::{
        Field, FieldError, FieldErrors, FieldValue, PhoneNumber, Recipient, SendOptions, inline_schema,
        options_or_default,
    },
};
use axum::extract::State;
use kurir_contract::{
    address::ChatJid,
    command::{SendContact, spec},
};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// More than the apps show.
const LONGEST_NAME: usize = 256;
/// A card with a small picture.
const LONGEST_CARD: usize = 64 * 1024;

/// A contact and where it goes: its name, and its number or its whole card.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendContactRequest {
    to: Field<Recipient>,
    display_name: Field<DisplayName>,
    /// Required unless there is a `vcard`.
    #[schemars(with = "Option<Field<PhoneNumber>>")]
    phone_number: Field<PhoneNumber>,
    vcard: Option<Field<VCard>>,
    options: Option<Field<SendOptions>>,
}

struct DisplayName(String);

struct VCard(String);

pub async fn send_contact(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(idempotency_key): IdempotencyHeader,
    JsonBody(body): JsonBody<SendContactRequest>,
) -> SendResult {
    let mut errors = FieldErrors::new(ErrorCode::InvalidContact);
    let to = errors.take("to", body.to);
    let name = errors.take("displayName", body.display_name);
    // A number is read only if there is no card.
    let (vcard, number) = match body.vcard {
        Some(card) => (errors.take("vcard", card), None),
        None => (None, errors.take("phoneNumber", body.phone_number)),
    };
    let contact = errors.finish(|| {
        let (Recipient(to), DisplayName(display_name)) = (to?, name?);
        let vcard = match vcard {
            Some(VCard(card)) => card,
            None => vcard_of(&display_name, &number?.0),
        };
        Some(SendContact { to, display_name, vcard, quoted: None, idempotency_key })
    })?;
    let mut options = options_or_default(body.options)?;
    let contact = SendContact { quoted: options.quoted()?, ..contact };
    send(app, session, spec::SendContact, contact.to.clone(), contact, options.send_at()?).await
}

/// A card with `waid`, from which the recipient's app offers to write to the contact.
fn vcard_of(name: &str, number: &ChatJid) -> String {
    // As RFC 2426, section 4, has it.
    let name = name.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,");
    let digits = number.user();
    format!("BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL;type=CELL;waid={digits}:+{digits}\nEND:VCARD")
}

impl FieldValue for DisplayName {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        // A line break would be another line of the card.
        let fits = |name: &&str| (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.contains(char::is_control);
        let name = given.as_str().map(str::trim).filter(fits);
        name.map(|name| Self(name.to_owned())).ok_or_else(|| {
            let text = format!("is required: a string of at most {LONGEST_NAME} characters on one line");
            FieldError::predicate(text)
        })
    }
}

impl FieldValue for VCard {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let fits = |card: &&str| card.len() <= LONGEST_CARD && card.starts_with("BEGIN:VCARD");
        let card = given.as_str().map(str::trim).filter(fits);
        card.map(|card| Self(card.to_owned()))
            .ok_or_else(|| FieldError::predicate("must be a string that starts with BEGIN:VCARD, of at most 64 kB"))
    }
}

inline_schema!(
    DisplayName,
    |_| json_schema!({"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "description": "The contact's name, on one line."})
);
inline_schema!(VCard, |_| json_schema!({"type": "string", "pattern": "^\\s*BEGIN:VCARD", "maxLength": LONGEST_CARD}));
