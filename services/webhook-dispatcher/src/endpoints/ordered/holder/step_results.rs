//! The results of a holder's steps.

use crate::{
    delivery::ordered::OrderedResult,
    endpoints::ordered::chat_queues::{ChatTurn, ParkRequest},
    event::StoredEvent,
    jetstream::parked_events::ParkedEntry,
};
use kurir_contract::chat::ChatToken;
use std::sync::Arc;

/// An attempt that has ended.
pub struct FinishedAttempt {
    pub turn: ChatTurn,
    pub probe: bool,
    pub outcome: anyhow::Result<TurnOutcome>,
}

pub enum TurnOutcome {
    /// Boxed, because it is much larger than the other results.
    Made(Arc<StoredEvent>, Box<OrderedResult>),
    /// It is not due yet: the stored entry is another holder's, or from before we took over.
    NotYet(ParkedEntry),
    /// Another dispatcher has settled it, or it was given up without an attempt.
    Nothing,
}

/// The result of a step that stored something.
pub enum StepResult {
    Stored(ParkRequest),
    Ended,
    /// All parked events.
    Listed(Vec<(u64, ChatToken)>),
}
