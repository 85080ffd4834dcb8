//! What becomes of sends that wait: `message.queued` of one, `job.progress`, `job.done`, `job.cancelled` and `job.failed`
//! of a job.

use super::EventId;
use crate::{
    address::ChatJid,
    command::WaitReason,
    job::{JobId, JobState},
    session::SessionId,
};
use serde::{Deserialize, Serialize};

/// `data` of `message.queued`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageQueued {
    /// The id under which it will be sent.
    pub message_id: String,
    pub to: ChatJid,
    /// The job that holds it.
    pub job_id: JobId,
    /// Not before, ISO 8601.
    pub until: String,
    pub reason: WaitReason,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}

/// `data` of the events of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobEvent {
    pub job_id: JobId,
    /// What its caller calls it; null if nothing.
    pub name: Option<String>,
    pub state: JobState,
    /// Its messages.
    pub total: usize,
    /// Those that WhatsApp took.
    pub sent: usize,
    /// Those that were given up.
    pub failed: usize,
    /// Why it was given up; null if it was not.
    pub reason: Option<String>,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}
