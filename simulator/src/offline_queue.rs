//! What waits for one companion, with WhatsApp's rule: whatever the client has not acknowledged
//! comes again on its next connection. Promises that an entry leaves only by the client's own
//! receipt or ack, and that one acknowledgment takes one entry.
//! Leaves the writing to the connection and the counting to the ledger.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use wacore_binary::Node;

use crate::ledger::RecordKey;

/// Entries that wait for one companion. 100,000 texts are about 100 MB: beyond it the control API
/// answers 503 and a load waits.
pub const MAX_WAITING: usize = 100_000;

/// What kind of acknowledgment takes an entry away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StanzaClass {
    Message,
    Receipt,
    Notification,
    Call,
}

impl StanzaClass {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Receipt => "receipt",
            Self::Notification => "notification",
            Self::Call => "call",
        }
    }
}

#[derive(Debug)]
pub struct QueueEntry {
    pub class: StanzaClass,
    pub id: String,
    /// The chat it belongs to: the user of the contact's number, or the group.
    pub chat: String,
    pub node: Node,
    /// Its line in the ledger; stanzas of the phone itself and receipts have none.
    pub record: Option<RecordKey>,
    /// How often it was handed to a socket.
    pub written: u32,
}

#[derive(Debug, Default)]
pub struct OfflineQueue {
    entries: BTreeMap<u64, QueueEntry>,
    by_id: HashMap<(StanzaClass, String), VecDeque<u64>>,
    next: u64,
    messages: usize,
}

impl OfflineQueue {
    /// Messages that wait, without receipts and notifications.
    pub fn messages(&self) -> usize {
        self.messages
    }

    pub fn is_full(&self) -> bool {
        self.entries.len() >= MAX_WAITING
    }

    /// Takes an entry in, and gives its place.
    pub fn push(&mut self, entry: QueueEntry) -> u64 {
        let place = self.next;
        self.next += 1;
        self.messages += usize::from(entry.class == StanzaClass::Message);
        self.by_id.entry((entry.class, entry.id.clone())).or_default().push_back(place);
        self.entries.insert(place, entry);
        place
    }

    pub fn get(&self, place: u64) -> Option<&QueueEntry> {
        self.entries.get(&place)
    }

    pub fn get_mut(&mut self, place: u64) -> Option<&mut QueueEntry> {
        self.entries.get_mut(&place)
    }

    /// Every place in the order of arrival: what the next connection gets.
    pub fn places(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied()
    }

    pub fn entries(&self) -> impl Iterator<Item = &QueueEntry> {
        self.entries.values()
    }

    /// Whether the message of an entry that left waits once more, as its own repetition.
    pub fn waits_again(&self, left: &QueueEntry) -> bool {
        let places = self.by_id.get(&(left.class, left.id.clone()));
        places
            .into_iter()
            .flatten()
            .filter_map(|place| self.entries.get(place))
            .any(|entry| entry.record == left.record)
    }

    /// The entries of this name and chat that were written, the oldest first.
    pub fn written(&self, class: StanzaClass, id: &str, chat: Option<&str>) -> impl Iterator<Item = &QueueEntry> {
        let places = self.by_id.get(&(class, id.to_owned()));
        places
            .into_iter()
            .flatten()
            .filter_map(|place| self.entries.get(place))
            .filter(move |entry| entry.written > 0 && chat.is_none_or(|chat| chat == entry.chat))
    }

    /// The client acknowledged `id` of this chat: the oldest entry of that name that was written
    /// leaves. What was never written cannot have been acknowledged.
    pub fn acknowledge(&mut self, class: StanzaClass, id: &str, chat: Option<&str>) -> Option<QueueEntry> {
        let key = (class, id.to_owned());
        let places = self.by_id.get_mut(&key)?;
        let index = places.iter().position(|place| {
            self.entries.get(place).is_some_and(|entry| entry.written > 0 && chat.is_none_or(|chat| chat == entry.chat))
        })?;
        let place = places.remove(index)?;
        if places.is_empty() {
            self.by_id.remove(&key);
        }
        let entry = self.entries.remove(&place)?;
        self.messages -= usize::from(entry.class == StanzaClass::Message);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    fn entry(id: &str, chat: &str, written: u32) -> QueueEntry {
        QueueEntry {
            class: StanzaClass::Message,
            id: id.to_owned(),
            chat: chat.to_owned(),
            node: NodeBuilder::new("message").build(),
            record: None,
            written,
        }
    }

    #[test]
    fn only_what_was_written_can_be_acknowledged() {
        let mut queue = OfflineQueue::default();
        let place = queue.push(entry("A", "1", 0));
        assert!(queue.acknowledge(StanzaClass::Message, "A", Some("1")).is_none());
        queue.get_mut(place).unwrap().written = 1;
        assert!(queue.acknowledge(StanzaClass::Receipt, "A", Some("1")).is_none());
        assert!(queue.acknowledge(StanzaClass::Message, "A", Some("2")).is_none());
        assert!(queue.acknowledge(StanzaClass::Message, "A", Some("1")).is_some());
        assert_eq!((queue.entries().count(), queue.messages()), (0, 0));
    }

    #[test]
    fn one_acknowledgment_takes_one_of_two_with_the_same_id() {
        let mut queue = OfflineQueue::default();
        queue.push(entry("A", "1", 1));
        queue.push(entry("A", "1", 1));
        queue.push(entry("A", "2", 1));
        queue.acknowledge(StanzaClass::Message, "A", Some("1")).unwrap();
        assert_eq!(queue.messages(), 2);
        assert_eq!(queue.places().collect::<Vec<_>>(), [1, 2]);
    }
}
