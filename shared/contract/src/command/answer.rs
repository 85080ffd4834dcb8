//! How a command ended: done, kept for later, or refused.

use crate::{address::ChatJid, job::JobId};
use serde::{Deserialize, Serialize};

/// The answer to any command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandReply<T> {
    Ok(T),
    /// Of a send: it is stored, and goes out later.
    Queued(QueuedSend),
    Error(CommandError),
}

/// A send that waits as a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueuedSend {
    pub job_id: JobId,
    pub message_id: String,
    pub to: ChatJid,
    /// Not before, ISO 8601.
    pub until: String,
    pub reason: WaitReason,
}

/// Why a send waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum WaitReason {
    /// The caller said when.
    Scheduled,
    /// More is to be sent than the session's pace allows in a minute.
    Pacing,
    /// As many people have been written to for the first time today as the settings allow.
    NewChatsPerDay,
    /// WhatsApp does not let this account write to people that it has no chat with.
    TimeLock,
    /// WhatsApp does not let this account begin more chats.
    NewChatCap,
    /// The session is not connected, and does not try to be.
    NotConnected,
}

impl WaitReason {
    pub const ALL: [Self; 6] =
        [Self::Scheduled, Self::Pacing, Self::NewChatsPerDay, Self::TimeLock, Self::NewChatCap, Self::NotConnected];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pacing => "pacing",
            Self::NewChatsPerDay => "new_chats_per_day",
            Self::TimeLock => "time_lock",
            Self::NewChatCap => "new_chat_cap",
            Self::NotConnected => "not_connected",
        }
    }
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    pub code: CommandErrorCode,
    /// For the user.
    pub message: String,
    /// WhatsApp's own number, if it refused.
    #[serde(default)]
    pub whatsapp_code: Option<u16>,
}

/// What a caller may branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandErrorCode {
    /// The request could not be read or says something impossible.
    InvalidRequest,
    /// Never paired, logged out, or at another end.
    NotConnected,
    /// WhatsApp knows no such account.
    NotOnWhatsapp,
    /// There is no such group, or the account is not in it.
    GroupNotFound,
    /// An invitation's code is not one, or is no longer good.
    InviteNotFound,
    /// No call rings under this id.
    CallNotFound,
    /// WhatsApp answered with a nack.
    RefusedByWhatsapp,
    /// All tries ended without an answer.
    TimedOut,
    /// The command does not fit the session's state, for example a pairing code for a paired session.
    Conflict,
    /// NATS did not answer, or did not take what has to be stored first.
    BrokerUnavailable,
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_to_wait_is_called_in_text_as_in_json() {
        for reason in WaitReason::ALL {
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.as_str().into()));
        }
    }
}
