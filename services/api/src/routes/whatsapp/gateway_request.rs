//! Commands of the routes to the session's gateway, with the errors that a caller sees.

use crate::{app_state::AppState, command_error::gateway_error, response::ApiError};
use kurir_contract::{command::CommandSpec, session::SessionId};

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
    app.gateway.ask(session, command, arguments).await.map_err(|error| gateway_error(error, C::COMMAND, session))
}

/// The path of a route of the session, as `/api/whatsapp/jobs/…`.
pub fn session_path(session: &SessionId, rest: &str) -> String {
    if *session == SessionId::default() {
        format!("/api/whatsapp/{rest}")
    } else {
        format!("/api/sessions/{session}/whatsapp/{rest}")
    }
}
