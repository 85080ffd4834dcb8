//! `passkey`: pairing of an account that is linked in no other way. What the passkey signed is judged by the gateway, which
//! knows what it was asked.

use super::{asked, session_name::Session};
use crate::{answer::Answer, app::App, body::Fields};
use axum::{Json, extract::State};
use kurir_contract::command::{AnswerPasskey, Command, EmptyBody, PasskeyProgress};
use serde_json::json;

/// Where it stands, and what is to be signed.
pub async fn passkey(State(app): State<App>, Session(session): Session) -> Answer {
    let passkey: PasskeyProgress = asked(&app, &session, Command::Passkey, &EmptyBody {}).await?;
    Ok(Json(json!({"success": true, "data": passkey})))
}

/// The body is the credential itself, as the browser's `toJSON()` writes it.
pub async fn answer_passkey(State(app): State<App>, Session(session): Session, Fields(fields): Fields) -> Answer {
    let request = AnswerPasskey { credential: fields.into() };
    let passkey: PasskeyProgress = asked(&app, &session, Command::AnswerPasskey, &request).await?;
    Ok(Json(json!({"success": true, "message": "Passkey answered", "data": passkey})))
}

/// The phone shows the same code.
pub async fn confirm_passkey(State(app): State<App>, Session(session): Session) -> Answer {
    let passkey: PasskeyProgress = asked(&app, &session, Command::ConfirmPasskey, &EmptyBody {}).await?;
    Ok(Json(json!({"success": true, "message": "Passkey confirmed", "data": passkey})))
}
