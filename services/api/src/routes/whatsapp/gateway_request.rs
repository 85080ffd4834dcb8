//! Commands of the routes to the session's gateway, with the errors that a caller sees.

use crate::{
    app_state::AppState, command_error::gateway_error, command_request::CommandFailure, error_code::ErrorCode,
    response::ApiError,
};
use kurir_contract::{
    clock,
    command::{Command, CommandSpec, SessionInfo},
    session::{SessionId, SessionStatus},
};
use std::time::Duration;
use time::OffsetDateTime;

/// A connection to WhatsApp is back within seconds, or the outage is a long one.
const SOON: Duration = Duration::from_secs(5);

/// The gateway's answer to a command.
///
/// # Errors
/// As the caller of the route is to see it.
pub async fn ask_gateway<C: CommandSpec>(
    app: &AppState,
    session: &SessionId,
    command: C,
    arguments: &C::Request,
) -> Result<C::Answer, ApiError> {
    match app.gateway.ask(session, command, arguments).await {
        Ok(answer) => Ok(answer),
        Err(error) => Err(explain_failure(app, session, C::COMMAND, error).await),
    }
}

/// The error of a command as its caller sees it, with the time after which it may succeed where the session knows it.
pub async fn explain_failure(app: &AppState, session: &SessionId, command: Command, error: CommandFailure) -> ApiError {
    let error = gateway_error(error, command, session);
    if error.code != ErrorCode::NotConnected {
        return error;
    }
    let Ok(status) = app.gateway.status(session).await else { return error };
    let retry_after = reconnects_after(&status, clock::now());
    match status.reason.filter(|_| status.status == SessionStatus::Damaged) {
        // The contract's text says nothing that its reader could do.
        Some(reason) => ApiError { retry_after, message: format!("{}: {reason}", error.message).into(), ..error },
        None => ApiError { retry_after, ..error },
    }
}

/// When a session that is not connected may be again; none for one that waits for somebody.
fn reconnects_after(status: &SessionInfo, now: OffsetDateTime) -> Option<Duration> {
    match status.status {
        SessionStatus::Connecting
        | SessionStatus::Reconnecting
        | SessionStatus::ProxyUnavailable
        | SessionStatus::WaitingForBroker
        | SessionStatus::StorageFull
        | SessionStatus::StorageRefused
        | SessionStatus::StorageUnavailable => Some(SOON),
        SessionStatus::Banned => {
            let until = status.until.as_deref().and_then(clock::parse)?;
            Duration::try_from(until - now).ok().filter(|wait| !wait.is_zero())
        }
        SessionStatus::Connected
        | SessionStatus::Pairing
        | SessionStatus::LoggedOut
        | SessionStatus::Replaced
        | SessionStatus::Locked
        | SessionStatus::Outdated
        | SessionStatus::Refused
        | SessionStatus::Damaged => None,
    }
}

/// The path of a route of the session, as `/api/whatsapp/jobs/…`.
pub fn session_path(session: &SessionId, rest: &str) -> String {
    if *session == SessionId::default() {
        format!("/api/whatsapp/{rest}")
    } else {
        format!("/api/sessions/{session}/whatsapp/{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_session_says_when_to_try_again_if_it_knows() {
        let now = time::macros::datetime!(2026-11-24 12:00 UTC);
        for (status, until, expected) in [
            ("reconnecting", None, Some(5)),
            ("waiting_for_broker", None, Some(5)),
            ("storage_full", None, Some(5)),
            ("banned", Some("2026-11-24T13:00:00.000Z"), Some(3_600)),
            ("banned", Some("2026-11-24T11:00:00.000Z"), None),
            ("banned", None, None),
            ("logged_out", None, None),
            ("pairing", None, None),
        ] {
            let info = json!({"isConnected": false, "qrCode": null, "sessionPath": "x", "status": status, "reason": null,
                "until": until, "jid": null, "lid": null});
            let info: SessionInfo = serde_json::from_value(info).expect("a status");
            assert_eq!(reconnects_after(&info, now).map(|wait| wait.as_secs()), expected, "{status} {until:?}");
        }
    }
}
