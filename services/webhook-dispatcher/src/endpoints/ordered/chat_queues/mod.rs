//! The order of an endpoint's events by chat. Pure: it records what happened and decides what to do next.
//!
//! At most one event of a chat is in delivery, and it is the first that is not settled. Those behind it are held in
//! memory. After a failure the chat is parked: its events are stored in RETRIES, lowest sequence first, each before it
//! is acknowledged. So an event that was acknowledged and not delivered is in RETRIES together with all earlier ones,
//! and a dispatcher that loads them after a crash starts with the right one.

mod chat_queue;
#[cfg(test)]
mod tests;

use crate::endpoints::ordered::chat_queues::chat_queue::{ChatQueue, QueuedEvent};
use kurir_contract::chat::ChatToken;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use time::{Duration, OffsetDateTime};

/// A receiver that is slow in one chat keeps the events of other chats out of the window. After this time the chat is
/// parked.
pub const SLOW_AFTER: Duration = Duration::seconds(2);

pub struct ChatQueues {
    window: usize,
    chats: HashMap<ChatToken, ChatQueue>,
    /// Every event that is not settled.
    chat_of: HashMap<u64, ChatToken>,
    /// The next event of each chat, with its due time.
    turns: BTreeSet<(OffsetDateTime, u64)>,
    /// Chats that have something to store.
    to_store: BTreeSet<ChatToken>,
    /// Events taken from EVENTS since the oldest one that is not settled, and whether each is settled. After a crash
    /// they all come again.
    taken: BTreeMap<u64, bool>,
    stored: usize,
}

/// What a message from EVENTS is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalResult {
    Taken,
    /// The event is already held.
    Copy,
    /// The event is parked: the message must be acknowledged.
    Parked,
}

/// An attempt that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatTurn {
    pub sequence: u64,
    pub chat: ChatToken,
    /// Counted from 1; none if it is not known, because the event was loaded from RETRIES.
    pub attempt: Option<u32>,
    /// Whether the event must be read from RETRIES.
    pub parked: bool,
}

/// An event that is to be stored in RETRIES, or stored again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkRequest {
    pub sequence: u64,
    pub chat: ChatToken,
    pub attempt: u32,
    pub due: OffsetDateTime,
}

/// What follows when an event is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkFollowUp {
    /// The message from EVENTS must be acknowledged.
    pub acknowledge: bool,
    /// The event was settled meanwhile: its copy in RETRIES must be purged.
    pub purge: bool,
    /// The event failed meanwhile, and is stored again.
    pub again: bool,
}

/// What to do with a settled event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleAction {
    Acknowledge,
    /// Purge its copy in RETRIES.
    Purge,
    /// Wait: it is being stored, and [`ParkFollowUp`] says what follows.
    Later,
    /// Nothing: the event is not known here.
    Unknown,
}

impl ChatQueues {
    /// `window`: how many events are taken beyond the oldest one that is not settled.
    #[must_use]
    pub fn new(window: usize) -> Self {
        Self {
            window,
            chats: HashMap::new(),
            chat_of: HashMap::new(),
            turns: BTreeSet::new(),
            to_store: BTreeSet::new(),
            taken: BTreeMap::new(),
            stored: 0,
        }
    }

    // Recording what happened.

    /// Records that RETRIES holds this event.
    pub fn load_parked(&mut self, sequence: u64, chat: ChatToken, now: OffsetDateTime) {
        if self.chat_of.insert(sequence, chat).is_none() {
            self.stored += 1;
            self.update_chat(chat, |chat| {
                chat.items.insert(sequence, QueuedEvent::new(now, None));
            });
        }
    }

    pub fn add_arrival(&mut self, sequence: u64, chat: ChatToken, now: OffsetDateTime) -> ArrivalResult {
        if let Some(chat) = self.chat_of.get(&sequence) {
            let is_held = self.chats.get(chat).is_some_and(|chat| chat.held.contains(&sequence));
            return if is_held { ArrivalResult::Copy } else { ArrivalResult::Parked };
        }
        self.chat_of.insert(sequence, chat);
        self.taken.insert(sequence, false);
        self.update_chat(chat, |chat| {
            chat.items.insert(sequence, QueuedEvent::new(now, Some(1)));
            chat.held.insert(sequence);
            chat.parking |= chat.has_parked();
        });
        ArrivalResult::Taken
    }

    /// Records that an event was delivered or given up.
    pub fn settle(&mut self, sequence: u64) -> SettleAction {
        let Some(&token) = self.chat_of.get(&sequence) else { return SettleAction::Unknown };
        let mut end = SettleAction::Later;
        self.update_chat(token, |chat| {
            chat.ends(sequence);
            if chat.storing == Some(sequence) {
                if let Some(item) = chat.items.get_mut(&sequence) {
                    item.settled = true;
                }
            } else {
                end = if chat.held.contains(&sequence) { SettleAction::Acknowledge } else { SettleAction::Purge };
                chat.remove(sequence);
            }
        });
        match end {
            SettleAction::Acknowledge => self.remove(sequence),
            SettleAction::Purge => {
                self.stored -= 1;
                self.remove(sequence);
            }
            SettleAction::Later | SettleAction::Unknown => {}
        }
        end
    }

    /// Records a failed attempt: the event must be stored and tried again.
    pub fn reschedule(&mut self, sequence: u64, attempt: u32, due: OffsetDateTime) {
        self.update_event(sequence, |chat, item| {
            item.attempt = Some(attempt);
            item.due = due;
            chat.changed.insert(sequence);
            chat.parking = true;
        });
    }

    /// Records that no attempt was made. `attempt`: its number, if it is known by now.
    pub fn defer(&mut self, sequence: u64, attempt: Option<u32>, due: OffsetDateTime) {
        self.update_event(sequence, |_, item| {
            item.attempt = attempt.or(item.attempt);
            item.due = due;
        });
    }

    /// Records that RETRIES holds an event as [`next_park`](Self::next_park) asked for it.
    pub fn finish_park(&mut self, sequence: u64) -> ParkFollowUp {
        let Some(&token) = self.chat_of.get(&sequence) else { return ParkFollowUp::default() };
        let mut then = ParkFollowUp::default();
        self.update_chat(token, |chat| {
            chat.storing = None;
            then.acknowledge = chat.held.remove(&sequence);
            then.purge = chat.items.get(&sequence).is_some_and(|item| item.settled);
            then.again = !then.purge && chat.changed.contains(&sequence);
            if then.purge {
                chat.remove(sequence);
            }
        });
        match (then.acknowledge, then.purge) {
            (true, false) => {
                self.stored += 1;
                self.advance_window(sequence);
            }
            (true, true) => self.remove(sequence),
            (false, true) => {
                self.stored -= 1;
                self.remove(sequence);
            }
            (false, false) => {}
        }
        then
    }

    /// Parks chats that keep others waiting for too long. Called periodically.
    pub fn park_slow_chats(&mut self, now: OffsetDateTime) {
        if self.room() > 0 || self.turns.first().is_some_and(|(due, _)| *due <= now) {
            return;
        }
        let is_slow = |chat: &ChatQueue| chat.first_held().is_some_and(|item| now - item.since > SLOW_AFTER);
        let slow: Vec<ChatToken> =
            self.chats.iter().filter(|(_, chat)| !chat.parking && is_slow(chat)).map(|(token, _)| *token).collect();
        for token in slow {
            self.update_chat(token, |chat| chat.parking = true);
        }
    }

    // Deciding what to do.

    /// An attempt that can start now. It counts as started.
    pub fn next_turn(&mut self, now: OffsetDateTime) -> Option<ChatTurn> {
        let sequence = self.turns.first().filter(|(due, _)| *due <= now)?.1;
        let token = *self.chat_of.get(&sequence)?;
        let mut turn = None;
        self.update_chat(token, |chat| {
            if let Some(item) = chat.items.get(&sequence) {
                let parked = !chat.held.contains(&sequence);
                turn = Some(ChatTurn { sequence, chat: token, attempt: item.attempt, parked });
                chat.in_delivery = Some(sequence);
            }
        });
        turn
    }

    /// When the next attempt is due.
    #[must_use]
    pub fn next_due(&self) -> Option<OffsetDateTime> {
        self.turns.first().map(|(due, _)| *due)
    }

    /// An event that must be stored now. It counts as being stored.
    pub fn next_park(&mut self) -> Option<ParkRequest> {
        let token = *self.to_store.first()?;
        let mut park = None;
        self.update_chat(token, |chat| {
            if let Some(sequence) = chat.to_store()
                && let Some(item) = chat.items.get(&sequence)
            {
                park = Some(ParkRequest { sequence, chat: token, attempt: item.attempt.unwrap_or(1), due: item.due });
                chat.changed.remove(&sequence);
                chat.storing = Some(sequence);
            }
        });
        park
    }

    /// How many more events may be taken.
    #[must_use]
    pub fn room(&self) -> usize {
        self.window.saturating_sub(self.taken.len())
    }

    #[must_use]
    pub fn contains(&self, sequence: u64) -> bool {
        self.chat_of.contains_key(&sequence)
    }

    /// Whether any event is in memory only.
    #[must_use]
    pub fn has_unstored(&self) -> bool {
        self.chat_of.len() > self.stored
    }

    /// How many events RETRIES holds.
    #[must_use]
    pub fn stored_count(&self) -> usize {
        self.stored
    }

    // Keeping the indexes.

    fn update_chat(&mut self, token: ChatToken, change: impl FnOnce(&mut ChatQueue)) {
        let chat = self.chats.entry(token).or_default();
        let before = chat.turn();
        change(chat);
        let (after, stores) = (chat.turn(), chat.to_store().is_some());
        if chat.items.is_empty() {
            self.chats.remove(&token);
        }
        if before != after {
            if let Some(before) = before {
                self.turns.remove(&before);
            }
            self.turns.extend(after);
        }
        if stores {
            self.to_store.insert(token);
        } else {
            self.to_store.remove(&token);
        }
    }

    fn update_event(&mut self, sequence: u64, change: impl FnOnce(&mut ChatQueue, &mut QueuedEvent)) {
        let Some(&token) = self.chat_of.get(&sequence) else { return };
        self.update_chat(token, |chat| {
            chat.ends(sequence);
            if let Some(mut item) = chat.items.get(&sequence).copied() {
                change(chat, &mut item);
                chat.items.insert(sequence, item);
            }
        });
    }

    fn remove(&mut self, sequence: u64) {
        self.chat_of.remove(&sequence);
        self.advance_window(sequence);
    }

    /// Marks an event as settled, so that the window can move on. After a crash it comes again only if an earlier one
    /// does.
    fn advance_window(&mut self, sequence: u64) {
        if let Some(settled) = self.taken.get_mut(&sequence) {
            *settled = true;
        }
        while self.taken.first_key_value().is_some_and(|(_, settled)| *settled) {
            self.taken.pop_first();
        }
    }
}
