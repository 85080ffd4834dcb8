//! `POST send-contact`: somebody's card, given as a vCard or made of a name and a number.

use super::{
    send::{SendResult, send_request},
    send_request::{RequestedSend, SendRequest},
};
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{IdempotencyHeader, JsonBody, SessionPath},
    fields::{
        Field, FieldError, FieldErrors, FieldValue, PhoneNumber, Recipient, SendOptions, inline_schema,
        options_or_default,
    },
    response::ApiError,
};
use axum::extract::State;
use kurir_contract::{
    address::ChatJid,
    command::{IdempotencyKey, Quote, SendContact, spec},
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

impl SendRequest for SendContactRequest {
    type Command = spec::SendContact;

    fn read(self, idempotency_key: Option<IdempotencyKey>) -> Result<RequestedSend<spec::SendContact>, ApiError> {
        let mut errors = FieldErrors::new(ErrorCode::InvalidContact);
        let to = errors.take("to", self.to);
        let name = errors.take("displayName", self.display_name);
        // A number is read only if there is no card.
        let (vcard, number) = match self.vcard {
            Some(card) => (errors.take("vcard", card), None),
            None => (None, errors.take("phoneNumber", self.phone_number)),
        };
        let message = errors.finish(|| {
            let (Recipient(to), DisplayName(display_name)) = (to?, name?);
            let vcard = match vcard {
                Some(VCard(card)) => card,
                None => vcard_of(&display_name, &number?.0),
            };
            Some(SendContact { to, display_name, vcard, quoted: None, quote: None, idempotency_key })
        })?;
        let mut options = options_or_default(self.options)?;
        let (quoted, quote) = options.quoted_with_quote()?;
        let message = SendContact { quoted, quote, ..message };
        Ok(RequestedSend { to: message.to.clone(), message, at: options.send_at()? })
    }

    fn quoting(message: &mut SendContact) -> Option<(&str, &mut Option<Quote>)> {
        Some((message.quoted.as_deref()?, &mut message.quote))
    }
}

pub async fn send_contact(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    IdempotencyHeader(key): IdempotencyHeader,
    JsonBody(body): JsonBody<SendContactRequest>,
) -> SendResult {
    send_request(app, session, key, body).await
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
