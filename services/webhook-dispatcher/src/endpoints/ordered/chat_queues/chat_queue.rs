//! The events of one chat that are not settled, in their order.

use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

#[derive(Default)]
pub struct ChatQueue {
    /// By sequence.
    pub items: BTreeMap<u64, QueuedEvent>,
    /// Events that RETRIES does not hold: they are in memory and not acknowledged.
    pub held: BTreeSet<u64>,
    /// Events whose state in RETRIES is out of date or missing. They must not be tried before it is stored.
    pub changed: BTreeSet<u64>,
    /// Whether all held events are to be stored.
    pub parking: bool,
    pub in_delivery: Option<u64>,
    pub storing: Option<u64>,
}

#[derive(Clone, Copy)]
pub struct QueuedEvent {
    /// The next attempt.
    pub attempt: Option<u32>,
    pub due: OffsetDateTime,
    /// When the event came.
    pub since: OffsetDateTime,
    /// Nothing is left to do but to purge what is being stored.
    pub settled: bool,
}

impl QueuedEvent {
    pub fn new(now: OffsetDateTime, attempt: Option<u32>) -> Self {
        Self { attempt, due: now, since: now, settled: false }
    }
}

impl ChatQueue {
    /// The event with the lowest sequence and its due time, unless it must wait for a delivery or for its storing.
    pub fn turn(&self) -> Option<(OffsetDateTime, u64)> {
        let (&sequence, item) = self.items.first_key_value()?;
        let waits = self.in_delivery.is_some() || self.storing == Some(sequence) || self.changed.contains(&sequence);
        (!waits).then_some((item.due, sequence))
    }

    /// One after the other, the lowest first: an event that is stored and acknowledged must have all earlier ones
    /// stored, too.
    pub fn to_store(&self) -> Option<u64> {
        if self.storing.is_some() {
            return None;
        }
        let held = self.held.first().filter(|_| self.parking);
        self.changed.first().into_iter().chain(held).min().copied()
    }

    pub fn has_parked(&self) -> bool {
        self.held.len() < self.items.len() || self.storing.is_some()
    }

    pub fn first_held(&self) -> Option<&QueuedEvent> {
        self.items.get(self.held.first()?)
    }

    pub fn ends(&mut self, sequence: u64) {
        if self.in_delivery == Some(sequence) {
            self.in_delivery = None;
        }
    }

    pub fn remove(&mut self, sequence: u64) {
        self.items.remove(&sequence);
        self.held.remove(&sequence);
        self.changed.remove(&sequence);
        // All parked events are settled. Later ones are delivered from memory.
        self.parking &= self.has_parked() || !self.changed.is_empty();
    }
}
