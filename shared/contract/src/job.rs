//! A job: sends that wait for their time or their turn, in the stream OUTBOX, and the record of how far it has come.
//!
//! The job itself is one message that never changes; what becomes of it stands in its record, in the bucket [`BUCKET`].

use crate::{
    address::ChatJid,
    command::{Command, IdempotencyKey, UnknownCommand, idempotency::hash},
    session::SessionId,
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// The KV bucket of the records, each under [`JobId::key`].
pub const BUCKET: &str = "jobs";
/// How long a record is kept after its last change: longer than a job may wait for its time.
pub const RECORD_LASTS: Duration = Duration::from_secs(32 * 24 * 60 * 60);
/// How far ahead a job may be.
pub const LATEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Sends of one job.
pub const MOST_ITEMS: usize = 10_000;
/// A job as JSON: NATS takes messages of 1 MB by default, its headers included.
pub const LARGEST: usize = 1_000_000;
/// Failures that a record holds; the rest is only counted.
pub const FAILURES_KEPT: usize = 100;

/// `job_` and 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct JobId(String);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no job")]
pub struct InvalidJobId(String);

impl JobId {
    /// Of a caller's key: the same at every repeat.
    #[must_use]
    pub fn of(session: &SessionId, key: &IdempotencyKey) -> Self {
        Self(format!("job_{}", key.of(session)))
    }

    #[must_use]
    pub fn random() -> Self {
        Self(format!("job_{:032x}", rand::random::<u128>()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its record's in [`BUCKET`].
    #[must_use]
    pub fn key(&self, session: &SessionId) -> String {
        format!("{session}.{self}")
    }

    /// The key in [`BUCKET`] that is there once somebody has cancelled it.
    #[must_use]
    pub fn cancel_key(&self, session: &SessionId) -> String {
        format!("{session}.{self}.cancel")
    }

    /// What one of its sends is known under, so that it goes out once.
    #[must_use]
    pub fn part(&self, index: usize) -> IdempotencyKey {
        IdempotencyKey::of_job(&self.0).part(index)
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(id: String) -> Result<Self, InvalidJobId> {
        let is_hex = |digits: &str| digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if id.strip_prefix("job_").is_some_and(is_hex) { Ok(Self(id)) } else { Err(InvalidJobId(id)) }
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What OUTBOX holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJob {
    pub id: JobId,
    /// What the caller calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// ISO 8601.
    pub created_at: String,
    /// Not before, ISO 8601; null: at once.
    #[serde(default)]
    pub send_at: Option<String>,
    /// 1 to [`MOST_ITEMS`].
    pub items: Vec<JobItem>,
}

impl SendJob {
    /// The same for the same job, and for no other.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let items = serde_json::to_string(&self.items).unwrap_or_default();
        let (name, send_at) = (self.name.as_deref().unwrap_or_default(), self.send_at.as_deref().unwrap_or_default());
        hex::encode(hash(&[name, send_at, &items]))
    }
}

/// One send of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobItem {
    /// The name of a command that sends.
    pub command: String,
    /// As the command takes it. Its `idempotencyKey` is the caller's, or null: then it has one of the job's.
    pub arguments: serde_json::Value,
}

impl JobItem {
    /// # Errors
    /// If there is no such command.
    pub fn command(&self) -> Result<Command, UnknownCommand> {
        self.command.parse()
    }
}

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRecord {
    pub id: JobId,
    pub name: Option<String>,
    pub session: SessionId,
    pub state: JobState,
    pub total: usize,
    pub sent: usize,
    pub failed: usize,
    pub created_at: String,
    pub updated_at: String,
    /// As it was asked for.
    pub send_at: Option<String>,
    /// When it goes on; null unless it waits.
    pub until: Option<String>,
    /// Why it waits, or why it was given up; null otherwise.
    pub reason: Option<String>,
    /// The first [`FAILURES_KEPT`].
    pub failures: Vec<ItemFailure>,
    /// A hash of the job: what has the same id and another hash is another job.
    pub request: String,
}

impl JobRecord {
    /// The place of the send that comes next.
    #[must_use]
    pub fn next(&self) -> usize {
        self.sent + self.failed
    }
}

/// A send that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ItemFailure {
    /// Its place, from 0.
    pub index: usize,
    pub to: Option<ChatJid>,
    pub error: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum JobState {
    /// Waits for its time.
    Scheduled,
    /// Waits for its turn to begin, or its sends go out.
    Running,
    /// Cannot go on before `until`; `reason` says why.
    Queued,
    /// Each of its sends went out or was given up.
    Done,
    /// What was sent by then is sent.
    Cancelled,
    /// Given up.
    Failed,
}

impl JobState {
    pub const ALL: [Self; 6] =
        [Self::Scheduled, Self::Running, Self::Queued, Self::Done, Self::Cancelled, Self::Failed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Queued => "queued",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// Nothing more will be sent.
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::Done | Self::Cancelled | Self::Failed => true,
            Self::Scheduled | Self::Running | Self::Queued => false,
        }
    }
}

/// Asks about one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    pub id: JobId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_token_of_a_subject() {
        let id = String::from(JobId::random());
        assert_eq!(JobId::try_from(id.clone()).map(String::from), Ok(id));
        for bad in
            ["", "job_", "job_1.2", "job_zz345678901234567890123456789012", "rep_12345678901234567890123456789012"]
        {
            assert!(JobId::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_same_key_is_the_same_job_and_each_send_has_its_own() {
        let (session, key) = (SessionId::default(), "order-7".parse::<IdempotencyKey>().expect("a key"));
        let job = JobId::of(&session, &key);
        assert_eq!(job, JobId::of(&session, &key));
        assert_ne!(job.part(0), job.part(1));
        assert_ne!(job.part(0), JobId::random().part(0));
    }

    #[test]
    fn a_state_is_called_in_text_as_in_json() {
        for state in JobState::ALL {
            assert_eq!(serde_json::to_value(state).ok(), Some(state.as_str().into()));
        }
    }
}
