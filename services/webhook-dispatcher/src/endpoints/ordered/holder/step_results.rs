//! What the steps of a holder come to.

use crate::{
    delivery::ordered::OrderedResult,
    endpoints::ordered::chat_queues::{ChatTurn, ParkRequest},
    event::StoredEvent,
    jetstream::parked_events::ParkedEntry,
};
use kurir_contract::chat::ChatToken;
use std::sync::Arc;

/// An attempt that is over.
pub struct FinishedAttempt {
    pub turn: ChatTurn,
    pub probe: bool,
    pub came_to: anyhow::Result<TurnOutcome>,
}

pub enum TurnOutcome {
    Made(Arc<StoredEvent>, OrderedResult),
    /// It is not due yet: another one's, or from before we took over.
    NotYet(ParkedEntry),
    /// Somebody else settled it, or it was given up without an attempt.
    Nothing,
}

/// Something that lasts by now.
pub enum StepResult {
    Stored(ParkRequest),
    Ended,
    /// All that is parked.
    Listed(Vec<(u64, ChatToken)>),
}
