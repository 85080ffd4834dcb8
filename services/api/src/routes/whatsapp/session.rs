//! `status`, `logout`, `restart`, `pairing-code`: the session itself.

use super::gateway_request::ask_gateway;
use crate::{
    app_state::AppState,
    command_error::gateway_error,
    error_code::ErrorCode,
    extract::{JsonBody, SessionPath},
    fields::{Field, PhoneNumber},
    keys::{Caller, Scope},
    response::{
        DataResponse, JsonResult, MessageDataResponse, MessageResponse, data_response, message_data_response,
        message_response, nothing_done_response,
    },
};
use axum::extract::State;
use kurir_contract::command::{Command, EmptyBody, LoggedOut, PairingCode, PairingCodeRequest, SessionInfo, spec};
use schemars::JsonSchema;
use serde::Deserialize;

pub async fn status(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    caller: Caller,
) -> JsonResult<DataResponse<SessionInfo>> {
    let status = app.gateway.status(&session).await.map_err(|error| gateway_error(error, Command::Status, &session))?;
    // The code pairs the session with any account, as `/whatsapp/qr` does, so it is shown to the same callers.
    let qr_code = status.qr_code.filter(|_| caller.allows(Scope::Manage));
    Ok(data_response(SessionInfo { qr_code, ..status }))
}

pub async fn logout(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult<MessageResponse> {
    let LoggedOut { was_paired } = ask_gateway(&app, &session, spec::Logout, &EmptyBody {}).await?;
    Ok(if was_paired {
        message_response("Logged out successfully")
    } else {
        nothing_done_response("No active session found")
    })
}

/// Starts a session that has ended: with a new QR code after a logout, and while nothing is paired.
pub async fn restart(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
) -> JsonResult<MessageDataResponse<SessionInfo>> {
    let status: SessionInfo = ask_gateway(&app, &session, spec::Restart, &EmptyBody {}).await?;
    Ok(message_data_response("Session restarted", status))
}

/// Which number is to be paired.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairByCodeRequest {
    phone_number: Field<PhoneNumber>,
}

/// Pairs without a camera: the user types eight characters on the phone.
pub async fn pairing_code(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
    JsonBody(body): JsonBody<PairByCodeRequest>,
) -> JsonResult<MessageDataResponse<PairingCode>> {
    let PhoneNumber(number) = body.phone_number.checked("phoneNumber", ErrorCode::InvalidRecipient)?;
    let request = PairingCodeRequest { phone_number: number.user().to_owned() };
    let code: PairingCode = ask_gateway(&app, &session, spec::PairingCode, &request).await?;
    Ok(message_data_response("Pairing code created", code))
}
