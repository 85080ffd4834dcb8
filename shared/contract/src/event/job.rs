//! Sends that wait: `message.queued` reports one message; `job.progress`, `job.done`, `job.cancelled` and `job.failed` report
//! a job.

use super::{EventId, KnownAddresses};
use crate::{
    address::ChatJid,
    command::WaitReason,
    job::{JobId, JobState},
    session::SessionId,
};
use serde::{Deserialize, Serialize};

/// `data` of `message.queued`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageQueued {
    /// The id that the message will have.
    pub message_id: String,
    pub to: ChatJid,
    /// The chat's canonical address, as in the other events about a message.
    pub from: ChatJid,
    /// The chat that the message goes to.
    pub chat: KnownAddresses,
    /// The job that sends it.
    pub job_id: JobId,
    /// The message is not sent before this time, ISO 8601.
    pub until: String,
    pub reason: WaitReason,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// `data` of `job.progress`, `job.done`, `job.cancelled` and `job.failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobEvent {
    pub job_id: JobId,
    /// The name that the caller gave it; null if none.
    pub name: Option<String>,
    pub state: JobState,
    /// How many messages it has.
    pub total: usize,
    /// How many of them WhatsApp accepted.
    pub sent: usize,
    /// How many of them were given up.
    pub failed: usize,
    /// Why it was given up; else null.
    pub reason: Option<String>,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}
