//! `contacts`, `blocklist`, `block`, `unblock`: who somebody is, and whom the account blocks.

use super::{asked, invalid_recipient, recipient, session_name::Session};
use crate::{
    answer::{Answer, Failure},
    app::App,
    body::Fields,
    parameters::Id,
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
pub async fn check_number(State(app): State<App>, Session(session): Session, Fields(fields): Fields) -> Answer {
    let number = person(fields.get("number"))?;
    let checked: NumberChecked = asked(&app, &session, Command::CheckNumber, &CheckNumber { number }).await?;
    Ok(Json(json!({"success": true, "data": checked})))
}

pub async fn contact(State(app): State<App>, Session(session): Session, id: Id) -> Answer {
    let contact: ContactDetails =
        asked(&app, &session, Command::Contact, &PersonRequest { number: named(&id)? }).await?;
    Ok(Json(json!({"success": true, "data": contact})))
}

pub async fn blocklist(State(app): State<App>, Session(session): Session) -> Answer {
    let BlockedContacts { people } = asked(&app, &session, Command::Blocklist, &EmptyBody {}).await?;
    Ok(Json(json!({"success": true, "data": people})))
}

pub async fn block(State(app): State<App>, Session(session): Session, Fields(fields): Fields) -> Answer {
    let request = PersonRequest { number: person(fields.get("number"))? };
    let blocked: BlockedContact = asked(&app, &session, Command::Block, &request).await?;
    Ok(Json(json!({"success": true, "message": "Blocked", "data": blocked})))
}

pub async fn unblock(State(app): State<App>, Session(session): Session, Fields(fields): Fields) -> Answer {
    let request = PersonRequest { number: person(fields.get("number"))? };
    let blocked: BlockedContact = asked(&app, &session, Command::Unblock, &request).await?;
    Ok(Json(json!({"success": true, "message": "Unblocked", "data": blocked})))
}

/// The person in a route's path.
pub(super) fn named(id: &Id) -> Result<ChatJid, Failure> {
    person(Some(&Value::String(id.0.clone())))
}

/// Somebody; no group.
pub(super) fn person(given: Option<&Value>) -> Result<ChatJid, Failure> {
    let person = recipient(given)?;
    if person.is_group() { Err(invalid_recipient(InvalidRecipient::Format)) } else { Ok(person) }
}
