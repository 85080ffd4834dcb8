//! The delivery of an event to an endpoint: the record of each attempt, the report of its end, the dead letter.

use crate::{
    endpoint::EndpointId,
    event::{EventId, EventType},
};
use serde::{Deserialize, Serialize};

/// The record of one attempt. A message in DELIVERIES is an array of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRecord {
    pub event_id: EventId,
    pub event: EventType,
    pub endpoint: EndpointId,
    /// The event's sequence in EVENTS.
    pub sequence: u64,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    pub result: AttemptResult,
    pub duration_ms: u64,
    /// When the attempt began, ISO 8601.
    pub at: String,
    /// The id of the replay that made it; none for a live delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AttemptResult {
    /// The receiver answered with a 2xx.
    Delivered {
        status: u16,
        /// The answer's headers: names and values, at most a kilobyte.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// The receiver answered with another status. `body` is the first kilobyte.
    Refused {
        status: u16,
        body: String,
        /// The answer's headers: names and values, at most a kilobyte.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// There was no answer. `class` is `connect`, `tls`, `timeout`, `reset`, `invalid`, `forbidden`, …
    Failed {
        class: String,
        /// The step that failed: `dns`, `connect`, `tls`, `send`, `response_head` or `response_body`. Null in records of
        /// older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<Box<str>>,
        message: String,
    },
    /// The event is never sent to this endpoint. `by` says why: its content filter (`content`), its format (`format`), or
    /// the event is about the endpoint itself (`about`).
    Filtered { by: String },
}

impl AttemptResult {
    /// The beginning of the body of an answer that was no 2xx; none if there was no such answer, or it had no body.
    #[must_use]
    pub fn refused_body(&self) -> Option<&str> {
        match self {
            Self::Refused { body, .. } if !body.is_empty() => Some(body),
            Self::Refused { .. } | Self::Delivered { .. } | Self::Failed { .. } | Self::Filtered { .. } => None,
        }
    }
}

/// How a delivery goes, sent to the inbox that the event's header `Kurir-Report-To` names: at the end, and with the header
/// `Kurir-Report-Attempts` also after each failed attempt that another one follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryReport {
    pub event_id: EventId,
    pub endpoint: EndpointId,
    /// The number of the last attempt, from 1.
    pub attempt: u32,
    /// The status of the last answer; null if there was none.
    pub status: Option<u16>,
    pub delivered: bool,
    /// Why it was not delivered; null if it was.
    pub error: Option<String>,
    /// The beginning of the last answer's body, if the receiver refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether another attempt follows: this is not the end.
    #[serde(default)]
    pub retried: bool,
}

/// The payload of a dead letter: the event, why it was given up, and everything that a replay needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    pub event_id: EventId,
    pub event: EventType,
    pub endpoint: EndpointId,
    /// The event's sequence in EVENTS.
    pub sequence: u64,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why it was given up, in words.
    pub reason: String,
    /// The result of the last attempt; null if there was none.
    pub last: Option<AttemptResult>,
    /// When it was given up, ISO 8601.
    pub at: String,
    /// The body that would have been delivered. It is kept longer than the event in EVENTS.
    pub payload: String,
}
