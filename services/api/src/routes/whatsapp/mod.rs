//! `/api/whatsapp`: what a user asks of the WhatsApp session, passed on to the gateway that holds it.

mod changes;
mod forward_message;
mod idempotency;
mod presence;
mod qr;
mod send_bulk;
mod send_contact;
mod send_location;
mod send_message;
mod send_poll;
mod session_name;

pub use changes::{edit_message, revoke_message, send_reaction};
pub use forward_message::forward_message;
pub use presence::{mark_read, presence, subscribe_presence, typing};
pub use qr::qr;
pub use send_bulk::send_bulk;
pub use send_contact::send_contact;
pub use send_location::send_location;
pub use send_message::send_message;
pub use send_poll::send_poll;

use crate::{
    answer::{Answer, Failure},
    app::App,
    body::Fields,
    refusal::failure,
};
use axum::{Json, extract::State};
use kurir_contract::{
    address::{ChatJid, InvalidRecipient},
    command::{CheckNumber, Command, Empty, LoggedOut, NumberChecked, PairingCode, PairingCodeRequest, Status},
};
use serde_json::{Value, json};
use session_name::Session;

pub async fn status(State(app): State<App>, Session(session): Session) -> Answer {
    let status = app.gateway.status(&session).await.map_err(|error| failure(error, Command::Status, &session))?;
    Ok(Json(json!({"success": true, "data": status})))
}

pub async fn logout(State(app): State<App>, Session(session): Session) -> Answer {
    let LoggedOut { was_paired } = app
        .gateway
        .ask(&session, Command::Logout, &Empty {})
        .await
        .map_err(|error| failure(error, Command::Logout, &session))?;
    Ok(Json(if was_paired {
        json!({"success": true, "message": "Logged out successfully"})
    } else {
        json!({"success": false, "message": "No active session found"})
    }))
}

/// Begins anew after an end: a new QR code after a logout.
pub async fn restart(State(app): State<App>, Session(session): Session) -> Answer {
    let status: Status = app
        .gateway
        .ask(&session, Command::Restart, &Empty {})
        .await
        .map_err(|error| failure(error, Command::Restart, &session))?;
    Ok(Json(json!({"success": true, "message": "Session restarted", "data": status})))
}

/// Pairing without a camera: eight characters that are typed on the phone.
pub async fn pairing_code(State(app): State<App>, Session(session): Session, Fields(fields): Fields) -> Answer {
    let to = recipient(fields.get("phoneNumber"))?;
    if to.server() != "s.whatsapp.net" {
        return Err(invalid_recipient(InvalidRecipient::Format));
    }
    let request = PairingCodeRequest { phone_number: to.user().to_owned() };
    let code: PairingCode = app
        .gateway
        .ask(&session, Command::PairingCode, &request)
        .await
        .map_err(|error| failure(error, Command::PairingCode, &session))?;
    Ok(Json(json!({"success": true, "message": "Pairing code created", "data": code})))
}

/// Whether WhatsApp knows an account.
pub async fn check_number(State(app): State<App>, Session(session): Session, Fields(fields): Fields) -> Answer {
    let number = recipient(fields.get("number"))?;
    if number.is_group() {
        return Err(invalid_recipient(InvalidRecipient::Format));
    }
    let checked: NumberChecked = app
        .gateway
        .ask(&session, Command::CheckNumber, &CheckNumber { number })
        .await
        .map_err(|error| failure(error, Command::CheckNumber, &session))?;
    Ok(Json(json!({"success": true, "data": checked})))
}

/// A number or a JID as a user wrote it. What JavaScript takes for nothing counts as missing.
fn recipient(given: Option<&Value>) -> Result<ChatJid, Failure> {
    match given {
        None | Some(Value::Null | Value::Bool(false)) => Err(InvalidRecipient::Missing),
        Some(Value::String(to)) => ChatJid::from_recipient(to),
        Some(Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(InvalidRecipient::Format)
        }
    }
    .map_err(invalid_recipient)
}

fn invalid_recipient(problem: InvalidRecipient) -> Failure {
    let code = match problem {
        InvalidRecipient::Missing => "missing_recipient",
        InvalidRecipient::Format | InvalidRecipient::LeadingZero { .. } => "invalid_recipient",
    };
    Failure::bad_request(code, problem.to_string())
}
