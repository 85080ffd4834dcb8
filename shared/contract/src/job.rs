//! A job: sends that wait in the stream OUTBOX for their time or their turn, and the record of their progress.
//!
//! The job itself is one message that never changes. Its record is in the bucket [`BUCKET`].

pub use crate::job_id::{InvalidJobId, JobId};

use crate::{
    address::ChatJid,
    command::{Command, IdempotencyKey, UnknownCommand, idempotency::hash},
    session::SessionId,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The KV bucket of the records; the key is [`JobId::record_key`].
pub const BUCKET: &str = "jobs";
/// A record expires this long after its last change, which is longer than a job may wait.
pub const RECORD_LASTS: Duration = Duration::from_secs(32 * 24 * 60 * 60);
/// The longest time that a job may wait for `sendAt`.
pub const LATEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The largest number of sends in one job.
pub const MOST_ITEMS: usize = 10_000;
/// The largest job in bytes of JSON: by default NATS accepts messages of 1 MB, headers included.
pub const LARGEST: usize = 1_000_000;
/// How many failures a record lists; further ones are only counted.
pub const FAILURES_KEPT: usize = 100;

impl JobId {
    /// The id of the job that a caller's key names: the same at every repeat.
    #[must_use]
    pub fn from_key(session: &SessionId, key: &IdempotencyKey) -> Self {
        Self::from_hex(&key.of(session))
    }

    /// The key of its record in [`BUCKET`].
    #[must_use]
    pub fn record_key(&self, session: &SessionId) -> String {
        format!("{session}.{self}")
    }

    /// The key in [`BUCKET`] that exists once somebody has cancelled the job.
    #[must_use]
    pub fn cancel_key(&self, session: &SessionId) -> String {
        format!("{session}.{self}.cancel")
    }

    /// The key of one of its sends: the send goes out once.
    #[must_use]
    pub fn item_key(&self, index: usize) -> IdempotencyKey {
        IdempotencyKey::of_job(self.as_str()).part(index)
    }
}

/// A message in OUTBOX.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJob {
    pub id: JobId,
    /// The name that the caller gave it.
    #[serde(default)]
    pub name: Option<String>,
    /// ISO 8601.
    pub created_at: String,
    /// Nothing is sent before this time, ISO 8601; null: at once.
    #[serde(default)]
    pub send_at: Option<String>,
    /// 1 to [`MOST_ITEMS`].
    pub items: Vec<JobItem>,
}

impl SendJob {
    /// A hash of the job's name, time and sends.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut items = self.items.clone();
        for item in &mut items {
            remove_findings(&mut item.arguments);
        }
        let items = serde_json::to_string(&items).unwrap_or_default();
        let (name, send_at) = (self.name.as_deref().unwrap_or_default(), self.send_at.as_deref().unwrap_or_default());
        hex::encode(hash(&[name, send_at, &items]))
    }
}

/// Removes what the caller did not say, and what may be different at a repeat: what was found about a quoted message, a
/// link's page or a file, and the name under which a file is stored.
fn remove_findings(arguments: &mut serde_json::Value) {
    let Some(arguments) = arguments.as_object_mut() else { return };
    for name in ["quote", "linkPreview", "preview"] {
        arguments.remove(name);
    }
    if let Some(file) = arguments.get_mut("file").and_then(serde_json::Value::as_object_mut)
        && file.get("sha256").is_some_and(serde_json::Value::is_string)
    {
        file.remove("object");
    }
}

/// One send of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobItem {
    /// The name of a command that sends a message.
    pub command: String,
    /// The command's arguments. If `idempotencyKey` is null, the send uses [`JobId::item_key`].
    pub arguments: serde_json::Value,
    /// The send waits for this time, ISO 8601 in UTC, and so do the sends behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_at: Option<String>,
}

impl JobItem {
    /// # Errors
    /// If there is no such command.
    pub fn command(&self) -> Result<Command, UnknownCommand> {
        self.command.parse()
    }
}

/// The progress of a job.
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
    /// The time that the caller asked for.
    pub send_at: Option<String>,
    /// When it continues; null unless it waits.
    pub until: Option<String>,
    /// Why it waits, or why it was given up; else null.
    pub reason: Option<String>,
    /// The first [`FAILURES_KEPT`].
    pub failures: Vec<ItemFailure>,
    /// [`SendJob::fingerprint`]: a job with the same id and another fingerprint is another job.
    pub request: String,
}

impl JobRecord {
    /// The index of the next send.
    #[must_use]
    pub fn next_index(&self) -> usize {
        self.sent + self.failed
    }
}

/// A send that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ItemFailure {
    /// The send's index, from 0.
    pub index: usize,
    pub to: Option<ChatJid>,
    pub error: String,
}

/// What a job does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum JobState {
    /// It waits for `sendAt`.
    Scheduled,
    /// Its sends go out, or wait for an earlier job.
    Running,
    /// It cannot continue before `until`; `reason` says why.
    Queued,
    /// Each of its sends went out or was given up.
    Done,
    /// Somebody cancelled it. Messages that were sent by then stay sent.
    Cancelled,
    /// Kurir gave it up.
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

    /// Whether the job sends nothing more.
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::Done | Self::Cancelled | Self::Failed => true,
            Self::Scheduled | Self::Running | Self::Queued => false,
        }
    }
}

/// The body of a command about a job that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobReference {
    pub id: JobId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_key_is_the_same_job_and_each_send_has_its_own() {
        let (session, key) = (SessionId::default(), "order-7".parse::<IdempotencyKey>().expect("a key"));
        let job = JobId::from_key(&session, &key);
        assert_eq!(job, JobId::from_key(&session, &key));
        assert_ne!(job.item_key(0), job.item_key(1));
        assert_ne!(job.item_key(0), JobId::random().item_key(0));
    }

    #[test]
    fn what_was_found_about_a_send_makes_no_other_job() {
        let job = |arguments: serde_json::Value| SendJob {
            id: JobId::from_hex("0".repeat(32).as_str()),
            name: None,
            created_at: String::new(),
            send_at: None,
            items: vec![JobItem { command: "send-text".to_owned(), arguments, send_at: None }],
        };
        let plain = job(json!({"text": "x", "quoted": "3EB0", "file": {"sha256": "01"}})).fingerprint();
        for found in [
            json!({"text": "x", "quoted": "3EB0", "file": {"sha256": "01", "object": "a"}}),
            json!({"text": "x", "quoted": "3EB0", "file": {"sha256": "01", "object": "b"}, "quote": {"fromMe": true}}),
            json!({"text": "x", "quoted": "3EB0", "file": {"sha256": "01"}, "linkPreview": {"url": "u"}, "preview": {}}),
        ] {
            assert_eq!(job(found.clone()).fingerprint(), plain, "{found}");
        }
        for other in [json!({"text": "y"}), json!({"text": "x", "quoted": "3EB1", "file": {"sha256": "01"}})] {
            assert_ne!(job(other.clone()).fingerprint(), plain, "{other}");
        }
    }

    #[test]
    fn a_state_is_called_in_text_as_in_json() {
        for state in JobState::ALL {
            assert_eq!(serde_json::to_value(state).ok(), Some(state.as_str().into()));
        }
    }
}
