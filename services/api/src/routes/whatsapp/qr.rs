//! `GET qr`: the QR code that waits to be scanned, as raw text. After a logout it begins a new pairing, because old
//! users know no other way to a new code.

use crate::extract::SessionPath;
use crate::{
    app_state::AppState,
    command_error::gateway_error,
    metrics::ApiCounter,
    response::{ApiError, JsonResult},
};
use axum::{Json, extract::State};
use kurir_contract::{
    command::{Command, EmptyBody, SessionInfo},
    session::{SessionId, SessionStatus},
};
use serde_json::json;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

/// A new pairing has its first code in about a second.
const NEW_CODE_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

pub async fn qr(State(app): State<AppState>, SessionPath(session): SessionPath) -> JsonResult {
    app.metrics.count(ApiCounter::QrCodeRequests, OffsetDateTime::now_utc());
    let mut status = status(&app, &session).await?;
    if status.status == SessionStatus::LoggedOut && status.qr_code.is_none() {
        status = begin_pairing(&app, &session).await?;
    }
    Ok(Json(match status {
        SessionInfo { qr_code: Some(code), .. } => json!({"success": true, "qrCode": code}),
        SessionInfo { is_connected: true, .. } => {
            json!({"success": false, "message": "WhatsApp is already connected"})
        }
        SessionInfo { .. } => {
            json!({"success": false, "message": "QR Code not available. Please restart the service."})
        }
    }))
}

/// Asks for a new pairing and waits for its code.
async fn begin_pairing(app: &AppState, session: &SessionId) -> Result<SessionInfo, ApiError> {
    let deadline = Instant::now() + NEW_CODE_WITHIN;
    let mut seen: SessionInfo = app
        .gateway
        .ask(session, Command::Restart, &EmptyBody {})
        .await
        .map_err(|error| gateway_error(error, Command::Restart, session))?;
    while seen.qr_code.is_none() && !seen.is_connected && Instant::now() < deadline {
        sleep(LOOK).await;
        seen = status(app, session).await?;
    }
    Ok(seen)
}

async fn status(app: &AppState, session: &SessionId) -> Result<SessionInfo, ApiError> {
    app.gateway.status(session).await.map_err(|error| gateway_error(error, Command::Status, session))
}
