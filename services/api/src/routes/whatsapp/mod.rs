//! `/api/whatsapp`: what a user asks of the WhatsApp session, passed on to the gateway that holds it.

mod calls;
mod contacts;
mod forward_message;
mod group_members;
mod groups;
pub mod jobs;
mod media;
mod message_actions;
mod passkey;
mod pictures;
mod presence;
mod qr;
mod send_bulk;
mod send_contact;
mod send_location;
mod send_message;
mod send_poll;

pub use crate::extract::SessionPath;
pub use calls::reject_call;
pub use contacts::{block, blocklist, check_number, contact, unblock};
pub use forward_message::forward_message;
pub use group_members::{add_participants, make_admins, make_members, remove_participants};
pub use groups::{change_group, create_group, invite, join_group, leave_group, list_groups, revoke_invite, show_group};
pub use media::{send_audio, send_document, send_image, send_media, send_sticker, send_video, send_voice};
pub use message_actions::{edit_message, revoke_message, send_reaction};
pub use passkey::{answer_passkey, confirm_passkey, passkey};
pub use pictures::{
    contact_picture, group_picture, remove_group_picture, remove_own_picture, set_group_picture, set_own_picture,
};
pub use presence::{mark_read, presence, subscribe_presence, typing};
pub use qr::qr;
pub use send_bulk::send_bulk;
pub use send_contact::send_contact;
pub use send_location::send_location;
pub use send_message::send_message;
pub use send_poll::send_poll;

use crate::{
    app_state::AppState,
    command_error::gateway_error,
    extract::JsonObject,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    address::{ChatJid, InvalidRecipient},
    command::{Command, EmptyBody, LoggedOut, PairingCode, PairingCodeRequest, SessionInfo},
    session::SessionId,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub async fn status(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult {
    let status = app.gateway.status(&session).await.map_err(|error| gateway_error(error, Command::Status, &session))?;
    Ok(Json(json!({"success": true, "data": status})))
}

pub async fn logout(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult {
    let LoggedOut { was_paired } = app
        .gateway
        .ask(&session, Command::Logout, &EmptyBody {})
        .await
        .map_err(|error| gateway_error(error, Command::Logout, &session))?;
    Ok(Json(if was_paired {
        json!({"success": true, "message": "Logged out successfully"})
    } else {
        json!({"success": false, "message": "No active session found"})
    }))
}

/// Begins anew after an end: a new QR code after a logout, and while nothing is paired.
pub async fn restart(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult {
    let status: SessionInfo = app
        .gateway
        .ask(&session, Command::Restart, &EmptyBody {})
        .await
        .map_err(|error| gateway_error(error, Command::Restart, &session))?;
    Ok(Json(json!({"success": true, "message": "Session restarted", "data": status})))
}

/// Pairing without a camera: eight characters that are typed on the phone.
pub async fn pairing_code(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonObject(fields): JsonObject,
) -> JsonResult {
    let to = parse_recipient(fields.get("phoneNumber"))?;
    if to.server() != "s.whatsapp.net" {
        return Err(invalid_recipient(InvalidRecipient::Format));
    }
    let request = PairingCodeRequest { phone_number: to.user().to_owned() };
    let code: PairingCode = app
        .gateway
        .ask(&session, Command::PairingCode, &request)
        .await
        .map_err(|error| gateway_error(error, Command::PairingCode, &session))?;
    Ok(Json(json!({"success": true, "message": "Pairing code created", "data": code})))
}

/// The gateway's answer to a command.
async fn ask_gateway<A: DeserializeOwned>(
    app: &AppState,
    session: &SessionId,
    command: Command,
    arguments: &impl Serialize,
) -> Result<A, ApiError> {
    app.gateway.ask(session, command, arguments).await.map_err(|error| gateway_error(error, command, session))
}

/// A number or a JID as a user wrote it. What JavaScript takes for nothing counts as missing.
fn parse_recipient(given: Option<&Value>) -> Result<ChatJid, ApiError> {
    match given {
        None | Some(Value::Null | Value::Bool(false)) => Err(InvalidRecipient::Missing),
        Some(Value::String(to)) => ChatJid::from_recipient(to),
        Some(Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(InvalidRecipient::Format)
        }
    }
    .map_err(invalid_recipient)
}

fn invalid_recipient(problem: InvalidRecipient) -> ApiError {
    let code = match problem {
        InvalidRecipient::Missing => "missing_recipient",
        InvalidRecipient::Format | InvalidRecipient::LeadingZero { .. } => "invalid_recipient",
    };
    ApiError::bad_request(code, problem.to_string())
}
