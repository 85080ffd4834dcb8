//! Why a command is not done, in words for the user; a cause that is none of his business goes to the log.

use kurir_contract::command::{Refusal, RefusalCode};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The request says something impossible.
#[must_use]
pub fn invalid(message: String) -> Refusal {
    refusal(RefusalCode::InvalidRequest, message)
}

/// It does not fit what there is.
#[must_use]
pub fn conflict(message: String) -> Refusal {
    refusal(RefusalCode::Conflict, message)
}

#[must_use]
pub fn timed_out(message: String) -> Refusal {
    refusal(RefusalCode::TimedOut, message)
}

/// The broker did not do its part, or holds what cannot be read.
#[must_use]
pub fn of_broker(error: anyhow::Error) -> Refusal {
    tracing::warn!("a webhook command failed: {error:#}");
    if error.chain().any(|cause| cause.is::<serde_json::Error>()) {
        let message = "NATS holds what cannot be read; the dispatcher's log tells what it is";
        return refusal(RefusalCode::Internal, message.to_owned());
    }
    refusal(RefusalCode::BrokerUnavailable, "NATS did not do its part; try again".to_owned())
}

/// The time that a field holds.
///
/// # Errors
/// If it is none.
pub fn moment(field: &str, text: &str) -> Result<OffsetDateTime, Refusal> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| invalid(format!("{field} is {text:?}: write a time as 2026-11-24T13:27:25Z")))
}

fn refusal(code: RefusalCode, message: String) -> Refusal {
    Refusal { code, message, whatsapp_code: None }
}
