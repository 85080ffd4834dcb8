//! What simulated phones sent lately, so that a client which could not decrypt it gets it again.

use std::collections::{HashMap, VecDeque};

use crate::{phone_number::PhoneNumber, stanza::StanzaKind};

/// Messages kept for a retry request; real phones keep a few hundred.
const MAX_KEPT: usize = 20_000;

/// A message as it was before it was encrypted for each device.
#[derive(Debug, Clone)]
pub struct SentPlaintext {
    /// The encoded protobuf, without padding.
    pub plaintext: Vec<u8>,
    pub group: Option<String>,
    /// The account it went to, if it was not a group.
    pub to: Option<PhoneNumber>,
    pub kind: StanzaKind,
    /// Viewed once, and on phones only: companions never get it.
    pub for_phones_only: bool,
    /// Unix seconds.
    pub timestamp: i64,
}

#[derive(Debug, Default)]
pub struct SentLog {
    messages: HashMap<(PhoneNumber, String), SentPlaintext>,
    order: VecDeque<(PhoneNumber, String)>,
}

impl SentLog {
    pub fn keep(&mut self, sender: &PhoneNumber, id: &str, message: SentPlaintext) {
        let key = (sender.clone(), id.to_owned());
        if self.messages.insert(key.clone(), message).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MAX_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.messages.remove(&oldest);
        }
    }

    pub fn find(&self, sender: &PhoneNumber, id: &str) -> Option<&SentPlaintext> {
        self.messages.get(&(sender.clone(), id.to_owned()))
    }

    /// What one sender sent, the oldest first.
    pub fn of<'a>(&'a self, sender: &'a PhoneNumber) -> impl Iterator<Item = (&'a str, &'a SentPlaintext)> {
        let own = self.order.iter().filter(move |(by, _)| by == sender);
        own.filter_map(|key| Some((key.1.as_str(), self.messages.get(key)?)))
    }

    /// Whether a message of this id fits, of any sender.
    pub fn any(&self, id: &str, fits: impl Fn(&SentPlaintext) -> bool) -> bool {
        self.messages.iter().any(|((_, known), sent)| known == id && fits(sent))
    }
}
