//! What became of an event at an endpoint: each attempt, its end, and a dead letter's reason.

use crate::{
    endpoint::EndpointId,
    event::{EventId, EventType},
};
use serde::{Deserialize, Serialize};

/// One attempt, as DELIVERIES records it (an array of these per message).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRecord {
    pub event_id: EventId,
    pub event: EventType,
    pub endpoint: EndpointId,
    /// Of the event in EVENTS.
    pub sequence: u64,
    /// Counted from 1.
    pub attempt: u32,
    pub result: AttemptResult,
    pub duration_ms: u64,
    /// When it began, ISO 8601.
    pub at: String,
    /// The replay that it belongs to; none if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
}

/// What the receiver did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AttemptResult {
    /// A 2xx.
    Delivered {
        status: u16,
        /// As of a refusal.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// An answer that is no 2xx, with the first kilobyte of its body.
    Refused {
        status: u16,
        body: String,
        /// The answer's head: names and values, at most a kilobyte.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// No answer: `class` is `connect`, `tls`, `timeout`, `reset`, `invalid`, `forbidden`, …
    Failed { class: String, message: String },
    /// Not sent, and never to be: the endpoint does not want it (`content`), its format has no counterpart (`format`),
    /// or it is about the endpoint itself (`about`).
    Filtered { by: String },
}

/// Sent once to the inbox that an event's `Kurir-Report-To` names, when its delivery to an endpoint has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryReport {
    pub event_id: EventId,
    pub endpoint: EndpointId,
    /// The attempt that was the last, counted from 1.
    pub attempt: u32,
    /// Of the last answer; null if there was none.
    pub status: Option<u16>,
    pub delivered: bool,
    /// Why not; null if it was delivered.
    pub error: Option<String>,
}

/// Payload of a dead letter: what was given up, why, and all that a replay needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    pub event_id: EventId,
    pub event: EventType,
    pub endpoint: EndpointId,
    /// Of the event in EVENTS.
    pub sequence: u64,
    /// How many were made.
    pub attempts: u32,
    /// In words.
    pub reason: String,
    /// What the receiver did last; null if no attempt was possible.
    pub last: Option<AttemptResult>,
    /// When it was given up, ISO 8601.
    pub at: String,
    /// The body as it would have been delivered: it outlives EVENTS.
    pub payload: String,
}
