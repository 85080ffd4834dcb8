//! Requests to the dispatchers: replays and the ledger.
//!
//! A request goes to [`subject::webhook_command`](crate::subject::webhook_command). One dispatcher, any of them, answers with
//! a [`CommandReply`](crate::command::CommandReply).

use crate::endpoint_id::EndpointId;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A request to a dispatcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebhookCommand {
    /// [`ReplayRequest`] → [`Replay`]. The answer comes when the request is stored; the work continues afterwards.
    Replay,
    /// [`ReplayReference`] → [`Replay`]: its present state.
    ReplayProgress,
    /// [`ReplayReference`] → [`Replay`]: events that were not delivered yet will not be.
    CancelReplay,
    /// [`LedgerRequest`] → [`LedgerReport`].
    Ledger,
}

impl WebhookCommand {
    pub const ALL: [Self; 4] = [Self::Replay, Self::ReplayProgress, Self::CancelReplay, Self::Ledger];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::ReplayProgress => "replay-progress",
            Self::CancelReplay => "cancel-replay",
            Self::Ledger => "ledger",
        }
    }
}

impl fmt::Display for WebhookCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WebhookCommand {
    type Err = crate::command::UnknownCommand;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|c| c.as_str() == name).ok_or_else(|| Self::Err::new(name))
    }
}

/// The KV bucket of the replays; the key is the replay's id.
pub const REPLAYS_BUCKET: &str = "webhook_replays";

/// Events to deliver again. Each delivery keeps its `webhook-id` and has the header `Kurir-Replay: true`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayRequest {
    pub endpoint: EndpointId,
    pub of: ReplaySelection,
}

/// Which events a replay delivers again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReplaySelection {
    /// All events of the endpoint that were stored since this time, ISO 8601.
    Since { since: String },
    /// One dead letter; `sequence` is its sequence in DEAD_LETTERS.
    DeadLetter { sequence: u64 },
    /// All dead letters of the endpoint.
    DeadLetters,
    /// These events of EVENTS, at most [`MOST_SELECTED`]; those that are gone are left out.
    Events { sequences: Vec<u64> },
}

/// The events that one replay can name: it stands in RETRIES as a whole.
pub const MOST_SELECTED: usize = 1_000;

/// The body of a request about a replay that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayReference {
    pub id: String,
}

/// A replay and its progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Replay {
    /// `rep_` and 32 hex digits.
    pub id: String,
    pub endpoint: EndpointId,
    pub of: ReplaySelection,
    pub state: ReplayState,
    /// How many events it delivers again.
    pub total: u64,
    /// How many of them are neither delivered nor dead yet.
    pub waiting: u64,
    /// ISO 8601.
    pub created_at: String,
    /// When it ended, ISO 8601; null while it runs.
    pub ended_at: Option<String>,
}

/// Whether a replay still delivers events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReplayState {
    Running,
    Done,
    Cancelled,
}

/// Asks where an endpoint's events are that were stored from `from` until before `to`, both ISO 8601.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRequest {
    pub endpoint: EndpointId,
    /// None: from the endpoint's first event.
    #[serde(default)]
    pub from: Option<String>,
    /// None: until now.
    #[serde(default)]
    pub to: Option<String>,
}

/// Where an endpoint's events are. Each event is in one place: `matched` is the sum of the other numbers, or events were
/// lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerReport {
    pub endpoint: EndpointId,
    pub from: Option<String>,
    pub to: String,
    /// Events in EVENTS of the endpoint's sessions and types.
    pub matched: u64,
    /// Distinct events that the receiver answered with a 2xx.
    pub delivered: u64,
    /// Events that wait, are in delivery, or are between two attempts.
    pub waiting: u64,
    /// Events in the dead letters.
    pub dead: u64,
    /// Events that the endpoint's content filter or format excludes, and events about the endpoint itself.
    pub filtered: u64,
    /// `matched` minus all others: 0 unless events were lost.
    pub missing: i64,
}
