//! What a dispatcher can be asked: replays and the ledger. A NATS request on [`subject::webhooks`](crate::subject),
//! answered by any one dispatcher with a [`Reply`](crate::command::CommandReply).

use crate::endpoint::EndpointId;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What a dispatcher can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WebhookCommand {
    /// [`ReplayRequest`] → [`Replay`], as soon as it is stored; the work goes on behind it.
    Replay,
    /// [`ReplayRequestId`] → [`Replay`] as it stands.
    ReplayProgress,
    /// [`ReplayRequestId`] → [`Replay`]: what was not delivered yet will not be.
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

/// KV bucket of the replays, each under its id.
pub const REPLAYS_BUCKET: &str = "webhook_replays";

/// What is to be delivered again. Each delivery keeps its `webhook-id` and says `Kurir-Replay: true`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayRequest {
    pub endpoint: EndpointId,
    pub of: ReplaySelection,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReplaySelection {
    /// All events of the endpoint that were stored since then, ISO 8601.
    Since { since: String },
    /// One dead letter: its sequence in DEAD_LETTERS.
    DeadLetter { sequence: u64 },
    /// All dead letters of the endpoint.
    DeadLetters,
}

/// The body of a command about a replay that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRequestId {
    pub id: String,
}

/// A replay, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Replay {
    /// `rep_` and 32 hex digits.
    pub id: String,
    pub endpoint: EndpointId,
    pub of: ReplaySelection,
    pub state: ReplayState,
    /// Events that it is about.
    pub total: u64,
    /// Events that are neither delivered nor dead yet.
    pub waiting: u64,
    /// ISO 8601.
    pub created_at: String,
    /// Null while it runs.
    pub ended_at: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReplayState {
    Running,
    Done,
    Cancelled,
}

/// Of which endpoint, and of which events: those stored from `from` to before `to`, both ISO 8601.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRequest {
    pub endpoint: EndpointId,
    /// None: from the first event that is its.
    #[serde(default)]
    pub from: Option<String>,
    /// None: until now.
    #[serde(default)]
    pub to: Option<String>,
}

/// Where an endpoint's events are. Each is in one place: `matched` is the sum of the others, or something was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerReport {
    pub endpoint: EndpointId,
    pub from: Option<String>,
    pub to: String,
    /// In EVENTS, of the endpoint's sessions and types.
    pub matched: u64,
    /// Distinct events with a 2xx.
    pub delivered: u64,
    /// Not taken yet, in delivery, or between two attempts.
    pub waiting: u64,
    pub dead: u64,
    /// By the endpoint's content filter, its format, or because the event is about the endpoint itself.
    pub filtered: u64,
    /// `matched` minus all of these: 0, or it is told here.
    pub missing: i64,
}
