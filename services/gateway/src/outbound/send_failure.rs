//! Why a message was not sent, and what its caller is told.

use super::{media::UploadError, new_chat_limit::NO_TOKEN};
use crate::{
    session::{SessionView, state::SessionState},
    storage::StorageProblem,
};
use kurir_contract::{
    address::ChatJid,
    command::{CommandError, CommandErrorCode},
};
use whatsapp_rust::{SendError, request::IqError};

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
pub enum SendFailure {
    #[error("Message send timeout after multiple attempts. Please check your connection.")]
    TimedOut,
    #[error("{}", refusal_text(*code))]
    Refused { code: Option<u16> },
    /// Not retryable: no such account.
    #[error("{0} is not on WhatsApp")]
    NotOnWhatsapp(ChatJid),
    /// Not retryable: the session is not connected and does not try to be.
    #[error("WhatsApp is not connected")]
    Ended,
    /// Not retryable: the session stays away from WhatsApp until NATS stores again.
    #[error("WhatsApp is not connected: {}", .0.reason)]
    CannotStore(StorageProblem),
    /// Not retryable: the file was deleted.
    #[error("{}", UploadError::Gone)]
    FileGone,
    #[error("WhatsApp's client could not send the message: {0}")]
    Client(String),
    /// It did not go out, because nobody could read an answer to it.
    #[error("the keys of the message could not be stored: {0}")]
    KeysNotWritten(String),
}

/// A 463 that comes although the account is not locked is about the recipient. Another try may succeed: the token that
/// opens comes after the recipient's first message, so an automatic answer can be too fast for it.
fn refusal_text(code: Option<u16>) -> &'static str {
    match code {
        Some(NO_TOKEN) => {
            "WhatsApp refused the message: the recipient takes none from people it does not know. It has to write first"
        }
        _ => "WhatsApp refused the message",
    }
}

impl SendFailure {
    pub(super) fn from_send_error(error: SendError) -> Self {
        match error {
            SendError::Iq(IqError::ServerError { code, .. }) => Self::Refused { code: Some(code) },
            error => Self::Client(error.to_string()),
        }
    }

    /// Why waiting for the connection would not help: the session was never paired, has ended, or stays away on purpose.
    pub(super) fn of_session(view: &SessionView) -> Option<Self> {
        match &view.state {
            SessionState::Ended(_) | SessionState::Pairing { .. } => Some(Self::Ended),
            SessionState::CannotStore(problem) => Some(Self::CannotStore(problem.clone())),
            // Before the first connection it is unknown whether there are keys.
            SessionState::Connecting if view.client.is_some() && view.own.is_none() => Some(Self::Ended),
            SessionState::Connecting
            | SessionState::Connected
            | SessionState::Reconnecting { .. }
            | SessionState::ProxyAway { .. }
            | SessionState::WaitingForBroker => None,
        }
    }

    /// Whether another try could succeed.
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::TimedOut | Self::Refused { .. } | Self::Client(_) | Self::KeysNotWritten(_) => true,
            Self::NotOnWhatsapp(_) | Self::Ended | Self::CannotStore(_) | Self::FileGone => false,
        }
    }

    pub(super) fn to_command_error(&self) -> CommandError {
        let (code, whatsapp_code) = match self {
            Self::TimedOut => (CommandErrorCode::TimedOut, None),
            Self::Refused { code } => (CommandErrorCode::RefusedByWhatsapp, *code),
            Self::NotOnWhatsapp(_) => (CommandErrorCode::NotOnWhatsapp, None),
            Self::Ended => (CommandErrorCode::NotConnected, None),
            Self::CannotStore(problem) => (problem.error_code(), None),
            Self::FileGone => (CommandErrorCode::InvalidRequest, None),
            // What the client library cannot do with a message is no failure of Kurir.
            Self::Client(_) => (CommandErrorCode::RefusedByWhatsapp, None),
            Self::KeysNotWritten(_) => (CommandErrorCode::StorageUnavailable, None),
        };
        CommandError { whatsapp_code, ..CommandError::new(code, self.to_string()) }
    }
}

impl From<UploadError> for SendFailure {
    fn from(not_uploaded: UploadError) -> Self {
        match not_uploaded {
            UploadError::Gone => Self::FileGone,
            other @ (UploadError::Unread(_) | UploadError::NotWritten(_) | UploadError::NotTaken(_)) => {
                Self::Client(other.to_string())
            }
        }
    }
}
