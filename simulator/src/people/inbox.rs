//! What a phone received: decrypted messages, receipts for its own messages, and presences.
//! A message that is repeated under one id is one entry with a count of copies.

use std::collections::{HashMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Complaint;
use crate::phone_number::PhoneNumber;

/// Messages and receipts that a phone shows; older ones give way.
const MAX_SHOWN: usize = 20_000;

/// Presences that a phone shows. Every phone gets those of every client.
const MAX_PRESENCE: usize = 200;

/// A message that a phone decrypted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedMessage {
    pub id: String,
    /// The number that wrote it.
    pub from: PhoneNumber,
    /// The device of that number (0 is its phone).
    pub device: u16,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mimetype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted: Option<String>,
    /// The message reacted to, edited or revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Who wrote that one, if the message says so: an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_author: Option<String>,
    /// Who wrote what is quoted, if the message says so: an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted_author: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// How often it was forwarded, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<u32>,
    /// Of a poll: its options, and how many one may choose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selectable: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The receiver, if this is a copy of what a companion of the same account sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<String>,
    /// Under which kind of address the sender wrote: `pn` or `lid`.
    pub addressing: String,
    /// Unix seconds at which the server took it.
    pub timestamp: i64,
    pub copies: u32,
    /// What an app would not like in it; shown on request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<Complaint>,
    /// The protobuf, base64: what the media call decrypts with, and whatever a test wants to see.
    pub raw: String,
}

/// A receipt for a message that this phone sent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedReceipt {
    pub id: String,
    pub from: PhoneNumber,
    #[serde(rename = "type")]
    pub kind: String,
    pub timestamp: i64,
}

/// What a companion showed of itself. Gone with the process, as at WhatsApp.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedPresence {
    pub from: PhoneNumber,
    /// `available`, `unavailable`, `composing`, `recording`, `paused`; `subscribed`: it asked for this one's.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub timestamp: i64,
}

#[derive(Debug, Default)]
pub struct PhoneInbox {
    messages: VecDeque<ReceivedMessage>,
    /// How many messages have given way: positions below count from here.
    forgotten: usize,
    positions: HashMap<(PhoneNumber, String), usize>,
    receipts: VecDeque<ReceivedReceipt>,
    presence: VecDeque<ReceivedPresence>,
}

impl PhoneInbox {
    pub fn messages(&self) -> impl Iterator<Item = &ReceivedMessage> {
        self.messages.iter()
    }

    pub fn receipts(&self) -> impl Iterator<Item = &ReceivedReceipt> {
        self.receipts.iter()
    }

    /// Adds a message, or a copy to the one that is there under its id.
    pub fn take(&mut self, message: ReceivedMessage) {
        let key = (message.from.clone(), message.id.clone());
        if let Some(known) =
            self.positions.get(&key).and_then(|position| self.messages.get_mut(position - self.forgotten))
        {
            known.copies += message.copies;
            return;
        }
        self.positions.insert(key, self.forgotten + self.messages.len());
        self.messages.push_back(message);
        if self.messages.len() > MAX_SHOWN
            && let Some(oldest) = self.messages.pop_front()
        {
            self.positions.remove(&(oldest.from, oldest.id));
            self.forgotten += 1;
        }
    }

    pub fn take_receipt(&mut self, receipt: ReceivedReceipt) {
        self.receipts.push_back(receipt);
        if self.receipts.len() > MAX_SHOWN {
            self.receipts.pop_front();
        }
    }

    pub fn presence(&self) -> impl Iterator<Item = &ReceivedPresence> {
        self.presence.iter()
    }

    pub fn take_presence(&mut self, presence: ReceivedPresence) {
        self.presence.push_back(presence);
        if self.presence.len() > MAX_PRESENCE {
            self.presence.pop_front();
        }
    }

    pub fn find(&self, id: &str) -> Option<&ReceivedMessage> {
        self.messages.iter().find(|message| message.id == id)
    }
}
