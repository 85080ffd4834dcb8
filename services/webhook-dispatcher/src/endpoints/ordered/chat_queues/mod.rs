//! The order of an endpoint's events by chat. Pure: it is told what happened and says what to do next.
//!
//! Of each chat one event is in delivery at the most, and always the lowest that is not settled. Those behind it are
//! held in memory; once one failed, the chat is parked: its events are stored in RETRIES, lowest first, each before it
//! is acknowledged. So whatever was acknowledged and not delivered lies in RETRIES together with all before it, and
//! whoever loads that after a crash begins with the right one.

mod chat_queue;
#[cfg(test)]
mod tests;

use crate::endpoints::ordered::chat_queues::chat_queue::{ChatQueue, QueuedEvent};
use kurir_contract::chat::ChatToken;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use time::{Duration, OffsetDateTime};

/// A receiver that is slow in one chat keeps the events of others out of the window; after so long the chat is parked.
pub const PATIENCE: Duration = Duration::seconds(2);

pub struct ChatQueues {
    window: usize,
    chats: HashMap<ChatToken, ChatQueue>,
    /// Every event that is not settled.
    chat_of: HashMap<u64, ChatToken>,
    /// The event of each chat whose turn it is and when it is due.
    turns: BTreeSet<(OffsetDateTime, u64)>,
    /// Chats that have something to store.
    to_store: BTreeSet<ChatToken>,
    /// What was taken from EVENTS since the oldest of it that is not settled, and whether it is. After a crash all of
    /// it comes again.
    taken: BTreeMap<u64, bool>,
    stored: usize,
}

/// What came from EVENTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalResult {
    Taken,
    /// It is held already.
    Copy,
    /// It is parked: to be acknowledged.
    Parked,
}

/// An attempt that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatTurn {
    pub sequence: u64,
    pub chat: ChatToken,
    /// Counted from 1; not known of one that was loaded.
    pub attempt: Option<u32>,
    /// It is parked, and is to be read from there.
    pub parked: bool,
}

/// An event that is to be stored in RETRIES, or stored anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkRequest {
    pub sequence: u64,
    pub chat: ChatToken,
    pub attempt: u32,
    pub due: OffsetDateTime,
}

/// What follows when it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkFollowUp {
    /// It came from EVENTS.
    pub acknowledge: bool,
    /// It was settled meanwhile: what was stored is purged.
    pub purge: bool,
    /// It failed meanwhile, and is stored once more.
    pub again: bool,
}

/// How a settled event ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleAction {
    Acknowledge,
    /// It lies in RETRIES.
    Purge,
    /// It is being stored: [`ParkFollowUp`] says what follows.
    Later,
    /// It is not known here.
    Unknown,
}

impl ChatQueues {
    /// `window`: the most that is taken beyond the oldest that is not settled.
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

    // What it is told.

    /// RETRIES holds this.
    pub fn load(&mut self, sequence: u64, chat: ChatToken, now: OffsetDateTime) {
        if self.chat_of.insert(sequence, chat).is_none() {
            self.stored += 1;
            self.change(chat, |chat| {
                chat.items.insert(sequence, QueuedEvent::new(now, None));
            });
        }
    }

    pub fn arrives(&mut self, sequence: u64, chat: ChatToken, now: OffsetDateTime) -> ArrivalResult {
        if let Some(chat) = self.chat_of.get(&sequence) {
            let is_held = self.chats.get(chat).is_some_and(|chat| chat.held.contains(&sequence));
            return if is_held { ArrivalResult::Copy } else { ArrivalResult::Parked };
        }
        self.chat_of.insert(sequence, chat);
        self.taken.insert(sequence, false);
        self.change(chat, |chat| {
            chat.items.insert(sequence, QueuedEvent::new(now, Some(1)));
            chat.held.insert(sequence);
            chat.parking |= chat.has_parked();
        });
        ArrivalResult::Taken
    }

    /// Delivered, or given up.
    pub fn settled(&mut self, sequence: u64) -> SettleAction {
        let Some(&token) = self.chat_of.get(&sequence) else { return SettleAction::Unknown };
        let mut end = SettleAction::Later;
        self.change(token, |chat| {
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
            SettleAction::Acknowledge => self.forget(sequence),
            SettleAction::Purge => {
                self.stored -= 1;
                self.forget(sequence);
            }
            SettleAction::Later | SettleAction::Unknown => {}
        }
        end
    }

    /// It is to be tried again, and stored before.
    pub fn failed(&mut self, sequence: u64, attempt: u32, due: OffsetDateTime) {
        self.change_item(sequence, |chat, item| {
            item.attempt = Some(attempt);
            item.due = due;
            chat.changed.insert(sequence);
            chat.parking = true;
        });
    }

    /// No attempt was made of it. `attempt`: if it is known by now.
    pub fn untried(&mut self, sequence: u64, attempt: Option<u32>, due: OffsetDateTime) {
        self.change_item(sequence, |_, item| {
            item.attempt = attempt.or(item.attempt);
            item.due = due;
        });
    }

    /// RETRIES holds it as [`next_park`](Self::next_park) said.
    pub fn parked(&mut self, sequence: u64) -> ParkFollowUp {
        let Some(&token) = self.chat_of.get(&sequence) else { return ParkFollowUp::default() };
        let mut then = ParkFollowUp::default();
        self.change(token, |chat| {
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
                self.pass(sequence);
            }
            (true, true) => self.forget(sequence),
            (false, true) => {
                self.stored -= 1;
                self.forget(sequence);
            }
            (false, false) => {}
        }
        then
    }

    /// To be told now and then: chats that keep others waiting for too long are parked.
    pub fn look(&mut self, now: OffsetDateTime) {
        if self.room() > 0 || self.turns.first().is_some_and(|(due, _)| *due <= now) {
            return;
        }
        let is_slow = |chat: &ChatQueue| chat.first_held().is_some_and(|item| now - item.since > PATIENCE);
        let slow: Vec<ChatToken> =
            self.chats.iter().filter(|(_, chat)| !chat.parking && is_slow(chat)).map(|(token, _)| *token).collect();
        for token in slow {
            self.change(token, |chat| chat.parking = true);
        }
    }

    // What it says.

    /// An attempt that can begin now; it has begun when this is said.
    pub fn next_turn(&mut self, now: OffsetDateTime) -> Option<ChatTurn> {
        let sequence = self.turns.first().filter(|(due, _)| *due <= now)?.1;
        let token = *self.chat_of.get(&sequence)?;
        let mut turn = None;
        self.change(token, |chat| {
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

    /// What is to be stored now; it is being stored when this is said.
    pub fn next_park(&mut self) -> Option<ParkRequest> {
        let token = *self.to_store.first()?;
        let mut park = None;
        self.change(token, |chat| {
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

    /// How many more may be taken.
    #[must_use]
    pub fn room(&self) -> usize {
        self.window.saturating_sub(self.taken.len())
    }

    #[must_use]
    pub fn knows(&self, sequence: u64) -> bool {
        self.chat_of.contains_key(&sequence)
    }

    /// Whether anything is in memory alone.
    #[must_use]
    pub fn holds_any(&self) -> bool {
        self.chat_of.len() > self.stored
    }

    /// How many lie in RETRIES.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.stored
    }

    // How it keeps its lists.

    fn change(&mut self, token: ChatToken, change: impl FnOnce(&mut ChatQueue)) {
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

    fn change_item(&mut self, sequence: u64, change: impl FnOnce(&mut ChatQueue, &mut QueuedEvent)) {
        let Some(&token) = self.chat_of.get(&sequence) else { return };
        self.change(token, |chat| {
            chat.ends(sequence);
            if let Some(mut item) = chat.items.get(&sequence).copied() {
                change(chat, &mut item);
                chat.items.insert(sequence, item);
            }
        });
    }

    fn forget(&mut self, sequence: u64) {
        self.chat_of.remove(&sequence);
        self.pass(sequence);
    }

    /// It does not come again after a crash, unless one before it does.
    fn pass(&mut self, sequence: u64) {
        if let Some(settled) = self.taken.get_mut(&sequence) {
            *settled = true;
        }
        while self.taken.first_key_value().is_some_and(|(_, settled)| *settled) {
            self.taken.pop_first();
        }
    }
}
