//! The ledger of messages to companions: what WhatsApp counts as queued, sent, acknowledged.
//! A line changes only when the message was written to a socket or acknowledged by the client.

use std::collections::{HashMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::phone_number::PhoneNumber;

/// Lines kept. The oldest acknowledged lines give way; 250,000 take about 60 MB.
const MAX_LINES: usize = 250_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// Not yet written to any socket.
    Queued,
    /// Written, and not acknowledged.
    Sent,
    Acknowledged,
}

/// The place of a line: its number since the ledger began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordKey(pub u64);

/// One message to one companion.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRecord {
    pub id: String,
    /// The account.
    pub to: PhoneNumber,
    pub device: u16,
    /// Who wrote it. The account itself in what is a copy of its own message.
    pub contact: PhoneNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub state: MessageState,
    pub deliveries: u32,
    /// How often it was handed to a socket. A delivery counts once the write is done, or once the
    /// client has acknowledged it, whichever is known first.
    #[serde(skip)]
    pub handed: u32,
}

#[derive(Debug, Default)]
pub struct MessageLedger {
    lines: VecDeque<LedgerRecord>,
    first: u64,
    counts: HashMap<MessageState, u64>,
}

impl MessageLedger {
    pub fn open(&mut self, record: LedgerRecord) -> RecordKey {
        if self.lines.len() >= MAX_LINES
            && self.lines.front().is_some_and(|line| line.state == MessageState::Acknowledged)
        {
            self.lines.pop_front();
            self.first += 1;
        }
        *self.counts.entry(record.state).or_default() += 1;
        self.lines.push_back(record);
        RecordKey(self.first + self.lines.len() as u64 - 1)
    }

    /// It is handed to a socket: which time this is.
    pub fn handed(&mut self, key: RecordKey) -> u32 {
        let Some(line) = self.line(key) else { return 0 };
        line.handed = line.handed.max(line.deliveries) + 1;
        line.handed
    }

    /// The write that was the `nth` is done.
    pub fn written(&mut self, key: RecordKey, nth: u32) {
        if let Some(line) = self.line(key) {
            line.deliveries = line.deliveries.max(nth);
            if line.state == MessageState::Queued {
                self.become_state(key, MessageState::Sent);
            }
        }
    }

    pub fn acknowledged(&mut self, key: RecordKey) {
        if let Some(line) = self.line(key) {
            line.deliveries = line.deliveries.max(line.handed);
        }
        self.become_state(key, MessageState::Acknowledged);
    }

    /// The message is sent once more after a retry request: it waits again.
    pub fn queued_again(&mut self, key: RecordKey) {
        self.become_state(key, MessageState::Queued);
    }

    pub fn get(&self, key: RecordKey) -> Option<&LedgerRecord> {
        let index = key.0.checked_sub(self.first)?;
        self.lines.get(usize::try_from(index).ok()?)
    }

    /// The newest line about this message to this companion.
    pub fn find(&self, id: &str, to: &PhoneNumber, device: u16, contact: &PhoneNumber) -> Option<RecordKey> {
        let index = self
            .lines
            .iter()
            .rposition(|line| line.id == id && line.device == device && line.to == *to && line.contact == *contact)?;
        Some(RecordKey(self.first + index as u64))
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &LedgerRecord> {
        self.lines.iter()
    }

    pub fn count(&self, state: MessageState) -> u64 {
        self.counts.get(&state).copied().unwrap_or_default()
    }

    /// For a snapshot: the number of the first line, and all lines.
    pub fn export(&self) -> (u64, Vec<LedgerRecord>) {
        (self.first, self.lines.iter().cloned().collect())
    }

    pub fn import(first: u64, lines: Vec<LedgerRecord>) -> Self {
        let mut counts: HashMap<MessageState, u64> = HashMap::new();
        for line in &lines {
            *counts.entry(line.state).or_default() += 1;
        }
        Self { lines: lines.into(), first, counts }
    }

    fn line(&mut self, key: RecordKey) -> Option<&mut LedgerRecord> {
        let index = key.0.checked_sub(self.first)?;
        self.lines.get_mut(usize::try_from(index).ok()?)
    }

    fn become_state(&mut self, key: RecordKey, state: MessageState) {
        let Some(line) = self.line(key) else { return };
        let before = std::mem::replace(&mut line.state, state);
        if let Some(count) = self.counts.get_mut(&before) {
            *count -= 1;
        }
        *self.counts.entry(state).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledged_message_is_never_sent_again_by_a_late_write() {
        let mut ledger = MessageLedger::default();
        let number: PhoneNumber = "15550100001".parse().unwrap();
        let key = ledger.open(LedgerRecord {
            id: "A".to_owned(),
            to: number.clone(),
            device: 1,
            contact: number,
            group: None,
            state: MessageState::Queued,
            deliveries: 0,
            handed: 0,
        });
        // The client can be quicker than the task that wrote.
        let nth = ledger.handed(key);
        ledger.acknowledged(key);
        assert_eq!(ledger.get(key).unwrap().deliveries, 1);
        ledger.written(key, nth);
        let line = ledger.get(key).unwrap();
        assert_eq!((line.state, line.deliveries), (MessageState::Acknowledged, 1));
        assert_eq!(ledger.count(MessageState::Queued), 0);
        assert_eq!(ledger.count(MessageState::Acknowledged), 1);
    }
}
