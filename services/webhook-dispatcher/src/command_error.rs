//! The refusals of commands, worded for the user. The causes inside Kurir go to the log.

use kurir_contract::{
    clock,
    command::{CommandError, CommandErrorCode},
};
use time::OffsetDateTime;

/// The request asks for something impossible.
#[must_use]
pub fn invalid(message: String) -> CommandError {
    command_error(CommandErrorCode::InvalidRequest, message)
}

/// The request does not fit the present state.
#[must_use]
pub fn conflict(message: String) -> CommandError {
    command_error(CommandErrorCode::Conflict, message)
}

#[must_use]
pub fn timed_out(message: String) -> CommandError {
    command_error(CommandErrorCode::TimedOut, message)
}

/// NATS did not do its part, or it holds something unreadable.
#[must_use]
pub fn from_broker(error: anyhow::Error) -> CommandError {
    tracing::warn!("a webhook command failed: {error:#}");
    if error.chain().any(|cause| cause.is::<serde_json::Error>()) {
        let message = "NATS holds something unreadable; the dispatcher's log says what it is";
        return command_error(CommandErrorCode::Internal, message.to_owned());
    }
    command_error(CommandErrorCode::BrokerUnavailable, "NATS is away or refused the request; try again".to_owned())
}

/// Parses the time in a field.
///
/// # Errors
/// If the text is no time.
pub fn parse_time(field: &str, text: &str) -> Result<OffsetDateTime, CommandError> {
    clock::parse(text).ok_or_else(|| invalid(format!("{field} is {text:?}: write a time as 2026-11-24T13:27:25Z")))
}

fn command_error(code: CommandErrorCode, message: String) -> CommandError {
    CommandError { code, message, whatsapp_code: None }
}
