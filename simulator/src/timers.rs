//! What is to happen later: one ordered list instead of a task per delay.
//! Leaves carrying an action out to `ServerState::run_timers`.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use wacore_binary::Node;

use crate::{connection::ConnectionId, phone_number::PhoneNumber};

#[derive(Debug)]
pub enum TimerAction {
    Send(ConnectionId, Box<Node>),
    Close(ConnectionId),
    /// Writes a queued entry whose time has come.
    Deliver {
        number: PhoneNumber,
        device: u16,
        place: u64,
    },
    /// Writes what was held back to change the order, if nothing came to overtake it.
    ReleaseHeld(ConnectionId),
    /// The phone of an account that wants a passkey does its next part.
    PhoneGoesOn(ConnectionId),
    /// A silence may have ended.
    WakeAll,
}

#[derive(Default)]
pub struct TimerQueue {
    due: BTreeMap<(Instant, u64), TimerAction>,
    sequence: u64,
    changed: Arc<Notify>,
}

impl TimerQueue {
    pub fn after(&mut self, delay: Duration, action: TimerAction) {
        self.sequence += 1;
        self.due.insert((Instant::now() + delay, self.sequence), action);
        self.changed.notify_one();
    }

    pub fn take_due(&mut self, now: Instant) -> Option<TimerAction> {
        let entry = self.due.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    pub fn next(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Told when something was added.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}
