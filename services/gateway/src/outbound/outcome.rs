//! How a send ends: accepted, refused, deferred, or not tried.

use crate::publish::OutgoingEvent;
use kurir_contract::command::{CommandError, SentMessage, WaitReason};
use time::OffsetDateTime;

/// The result of a send.
pub enum SendOutcome {
    /// The message was sent or given up.
    Done(SendResult),
    /// The message cannot be sent yet. Nothing was sent.
    Deferred(Deferral),
    /// NATS was away. Nothing was sent.
    NotTried(CommandError),
}

/// The answer to the caller, and the event about the send.
pub struct SendResult {
    pub answer: Result<SentMessage, CommandError>,
    pub event: Option<OutgoingEvent>,
}

/// Until when a message has to wait, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferral {
    pub until: OffsetDateTime,
    pub reason: WaitReason,
}
