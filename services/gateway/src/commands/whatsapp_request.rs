//! Sends one request to WhatsApp on the current or the next connection, within the time of one try, and turns its
//! failure into the answer for the caller.

use super::CommandServer;
use kurir_contract::command::{CommandError, CommandErrorCode};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use whatsapp_rust::{
    Client,
    features::{BlockingError, ContactError, GroupError, ProfileError},
    request::IqError,
};

/// Why WhatsApp did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestFailure {
    #[error("WhatsApp refused it ({code}): {}", explain_code(*.code))]
    Refused { code: u16 },
    #[error("WhatsApp did not answer in time; whether it was done is unknown")]
    Silent,
    #[error("the connection to WhatsApp was lost before it answered; whether it was done is unknown")]
    Lost,
    #[error("WhatsApp's client could not do it: {0}")]
    Client(String),
    /// The error was known before the request, or needs its own answer.
    #[error("{0}")]
    Said(#[from] CommandError),
}

impl CommandServer {
    /// Waits for the connection, sends the request, and waits for the answer.
    ///
    /// # Errors
    /// With the text for the caller.
    pub(super) async fn ask_whatsapp<T, F>(&self, question: impl FnOnce(Arc<Client>) -> F) -> Result<T, CommandError>
    where
        F: Future<Output = Result<T, RequestFailure>>,
    {
        if let Some(error) = self.outbound.storage_problem() {
            return Err(error);
        }
        let sender = &self.outbound.sender;
        let deadline = Instant::now() + sender.answer_timeout();
        let client = timeout_at(deadline, sender.wait_for_client()).await.map_err(|_| {
            CommandError::new(
                CommandErrorCode::TimedOut,
                "WhatsApp was not connected in time; nothing was done. Try again later.",
            )
        })?;
        let client =
            client.ok_or_else(|| CommandError::new(CommandErrorCode::NotConnected, "WhatsApp is not connected"))?;
        timeout_at(deadline, question(client))
            .await
            .unwrap_or(Err(RequestFailure::Silent))
            .map_err(RequestFailure::into_command_error)
    }
}

impl RequestFailure {
    /// For errors without a variant of their own.
    pub(super) fn from_client(error: impl std::fmt::Display) -> Self {
        Self::Client(error.to_string())
    }

    pub(super) fn into_command_error(self) -> CommandError {
        let text = self.to_string();
        match self {
            Self::Refused { code } => CommandError {
                whatsapp_code: Some(code),
                ..CommandError::new(CommandErrorCode::RefusedByWhatsapp, text)
            },
            Self::Silent | Self::Lost => CommandError::new(CommandErrorCode::TimedOut, text),
            // What the client library cannot do with a request is no failure of Kurir.
            Self::Client(_) => CommandError::new(CommandErrorCode::RefusedByWhatsapp, text),
            Self::Said(refusal) => refusal,
        }
    }
}

/// The meaning of WhatsApp's numbers, as far as it is known.
fn explain_code(code: u16) -> &'static str {
    match code {
        400 => "it takes the request for a wrong one",
        401 | 403 => "this account may not do that; in a group, only an administrator may",
        404 => "there is no such thing",
        406 | 410 => "it does not accept that",
        409 => "it does not fit what is there",
        419 => "a bound of WhatsApp is reached",
        429 => "it asks to slow down; wait before you try again",
        _ => "it gave no reason",
    }
}

impl From<IqError> for RequestFailure {
    fn from(error: IqError) -> Self {
        match error {
            IqError::ServerError { code, .. } => Self::Refused { code },
            IqError::Timeout => Self::Silent,
            IqError::NotConnected
            | IqError::Socket(_)
            | IqError::ClientState(_)
            | IqError::Disconnected(_)
            | IqError::InternalChannelClosed => Self::Lost,
            error => Self::Client(error.to_string()),
        }
    }
}

impl From<GroupError> for RequestFailure {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Iq(error) => error.into(),
            GroupError::InvalidRequest(text) => Self::Said(CommandError::invalid(text)),
            GroupError::DescriptionConflict => Self::Said(CommandError::new(
                CommandErrorCode::Conflict,
                "the description was changed by somebody else at the same moment; try again",
            )),
            error => Self::Client(error.to_string()),
        }
    }
}

impl From<ContactError> for RequestFailure {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::Iq(error) => error.into(),
            error => Self::Client(error.to_string()),
        }
    }
}

impl From<BlockingError> for RequestFailure {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::Iq(error) => error.into(),
            error => Self::Client(error.to_string()),
        }
    }
}

impl From<ProfileError> for RequestFailure {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Iq(error) => error.into(),
            error => Self::Client(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16) -> IqError {
        IqError::ServerError { code, text: String::new(), error_type: None, backoff: None }
    }

    #[test]
    fn each_failure_of_whatsapp_has_its_code() {
        for (failure, code, number) in [
            (RequestFailure::from(GroupError::Iq(server(403))), CommandErrorCode::RefusedByWhatsapp, Some(403)),
            (ContactError::Iq(IqError::Timeout).into(), CommandErrorCode::TimedOut, None),
            (BlockingError::Iq(IqError::NotConnected).into(), CommandErrorCode::TimedOut, None),
            (ProfileError::Iq(server(429)).into(), CommandErrorCode::RefusedByWhatsapp, Some(429)),
            (GroupError::DescriptionConflict.into(), CommandErrorCode::Conflict, None),
            (GroupError::InvalidRequest("no code".to_owned()).into(), CommandErrorCode::InvalidRequest, None),
            (IqError::UnexpectedResponseType { got: None }.into(), CommandErrorCode::RefusedByWhatsapp, None),
        ] {
            let shown = failure.to_string();
            let refusal = failure.into_command_error();
            assert_eq!((refusal.code, refusal.whatsapp_code), (code, number), "{shown}");
        }
    }
}
