//! The reply to a command: its answer, a deferred send, or an error.

use crate::{address::ChatJid, job_id::JobId};
use serde::{Deserialize, Serialize};

/// The reply to any command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandReply<T> {
    Ok(T),
    /// To a send: it is stored as a job and goes out later.
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
    /// The earliest time, ISO 8601.
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
    /// The gateway stops. The message may have gone out; the next gateway finishes it under the same id.
    GatewayStopped,
}

impl WaitReason {
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Pacing,
        Self::NewChatsPerDay,
        Self::TimeLock,
        Self::NewChatCap,
        Self::NotConnected,
        Self::GatewayStopped,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pacing => "pacing",
            Self::NewChatsPerDay => "new_chats_per_day",
            Self::TimeLock => "time_lock",
            Self::NewChatCap => "new_chat_cap",
            Self::NotConnected => "not_connected",
            Self::GatewayStopped => "gateway_stopped",
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
    /// WhatsApp's own number, if WhatsApp refused the command.
    #[serde(default)]
    pub whatsapp_code: Option<u16>,
}

impl CommandError {
    /// An error without a number of WhatsApp's.
    pub fn new(code: CommandErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), whatsapp_code: None }
    }

    /// The error for a request that cannot be read or says something impossible.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(CommandErrorCode::InvalidRequest, message)
    }
}

/// The codes on which a caller may branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandErrorCode {
    /// The request cannot be read or says something impossible.
    InvalidRequest,
    /// The session was never paired, is logged out or has ended in another way.
    NotConnected,
    /// WhatsApp knows no such account.
    NotOnWhatsapp,
    /// There is no such group, or the account is not in it.
    GroupNotFound,
    /// The invitation code is wrong or was replaced.
    InviteNotFound,
    /// No call rings under this id.
    CallNotFound,
    /// WhatsApp answered with a nack.
    RefusedByWhatsapp,
    /// No try was answered in time.
    TimedOut,
    /// The command does not fit the session's state, for example a pairing code for a paired session.
    Conflict,
    /// NATS did not answer, or did not store what has to be stored first.
    BrokerUnavailable,
    /// NATS has no room for what has to be stored; nothing was done.
    StorageFull,
    /// NATS refuses what has to be stored; nothing was done.
    StorageRefused,
    /// NATS is there and its JetStream is not; nothing was done.
    StorageUnavailable,
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
