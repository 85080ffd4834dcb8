//! `GET qr`: the QR code that waits to be scanned, as raw text. After a logout it begins a new pairing, because old
//! users know no other way to a new code.

use super::gateway_request::ask_gateway;
use crate::{
    app_state::AppState,
    command_error::gateway_error,
    extract::SessionPath,
    metrics::ApiCounter,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    command::{Command, EmptyBody, SessionInfo, spec},
    session::{SessionId, SessionStatus},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

/// A new pairing has its first code in about a second.
const NEW_CODE_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at the session.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The code, or why there is none.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QrResponse {
    /// Whether there is a code.
    success: bool,
    /// The raw text of the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_code: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

pub async fn qr(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult<QrResponse> {
    app.metrics.count(ApiCounter::QrCodeRequests, OffsetDateTime::now_utc());
    let mut status = read_status(&app, &session).await?;
    if status.status == SessionStatus::LoggedOut && status.qr_code.is_none() {
        status = begin_pairing(&app, &session).await?;
    }
    let none = |message| QrResponse { success: false, qr_code: None, message: Some(message) };
    Ok(Json(match status {
        SessionInfo { qr_code: Some(code), .. } => QrResponse { success: true, qr_code: Some(code), message: None },
        SessionInfo { is_connected: true, .. } => none("WhatsApp is already connected"),
        SessionInfo { .. } => none("QR Code not available. Please restart the service."),
    }))
}

/// Asks for a new pairing and waits for its code.
async fn begin_pairing(app: &AppState, session: &SessionId) -> Result<SessionInfo, ApiError> {
    let deadline = Instant::now() + NEW_CODE_WITHIN;
    let mut status: SessionInfo = ask_gateway(app, session, spec::Restart, &EmptyBody {}).await?;
    while status.qr_code.is_none() && !status.is_connected && Instant::now() < deadline {
        sleep(POLL_INTERVAL).await;
        status = read_status(app, session).await?;
    }
    Ok(status)
}

async fn read_status(app: &AppState, session: &SessionId) -> Result<SessionInfo, ApiError> {
    app.gateway.status(session).await.map_err(|error| gateway_error(error, Command::Status, session))
}
