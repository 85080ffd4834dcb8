//! Why a command is not done, in words for the user; a cause that is none of his business goes to the log.

use kurir_contract::command::{CommandError, CommandErrorCode};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The request says something impossible.
#[must_use]
pub fn invalid(message: String) -> CommandError {
    refusal(CommandErrorCode::InvalidRequest, message)
}

/// It does not fit what there is.
#[must_use]
pub fn conflict(message: String) -> CommandError {
    refusal(CommandErrorCode::Conflict, message)
}

#[must_use]
pub fn timed_out(message: String) -> CommandError {
    refusal(CommandErrorCode::TimedOut, message)
}

/// The broker did not do its part, or holds what cannot be read.
#[must_use]
pub fn of_broker(error: anyhow::Error) -> CommandError {
    tracing::warn!("a webhook command failed: {error:#}");
    if error.chain().any(|cause| cause.is::<serde_json::Error>()) {
        let message = "NATS holds what cannot be read; the dispatcher's log tells what it is";
        return refusal(CommandErrorCode::Internal, message.to_owned());
    }
    refusal(CommandErrorCode::BrokerUnavailable, "NATS did not do its part; try again".to_owned())
}

/// The time that a field holds.
///
/// # Errors
/// If it is none.
pub fn moment(field: &str, text: &str) -> Result<OffsetDateTime, CommandError> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| invalid(format!("{field} is {text:?}: write a time as 2026-11-24T13:27:25Z")))
}

fn refusal(code: CommandErrorCode, message: String) -> CommandError {
    CommandError { code, message, whatsapp_code: None }
}
