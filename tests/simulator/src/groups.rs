//! Groups: who is in them, and which device already holds whose sender key.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

use crate::people::Number;

/// WhatsApp's own limit of a group.
const MAX_PARTICIPANTS: usize = 1_024;

/// Groups of one simulator; a test makes a handful.
const MAX_GROUPS: usize = 10_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// `120363…`, without the server.
    pub id: String,
    pub subject: String,
    pub creator: Number,
    pub created: i64,
    pub participants: BTreeSet<Number>,
    /// Simulated senders, and the companions that have got their sender key.
    #[serde(default)]
    pub holders: BTreeMap<Number, BTreeSet<(Number, u16)>>,
}

impl Group {
    pub fn jid(&self) -> Jid {
        Jid::group(self.id.as_str())
    }
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Groups {
    groups: BTreeMap<String, Group>,
}

impl Groups {
    pub fn create(
        &mut self,
        subject: String,
        creator: Number,
        participants: BTreeSet<Number>,
        now: i64,
    ) -> Result<&Group> {
        ensure!(participants.len() <= MAX_PARTICIPANTS, "a group has at most {MAX_PARTICIPANTS} participants");
        ensure!(self.groups.len() < MAX_GROUPS, "there are {MAX_GROUPS} groups already");
        let id = format!("120363{:012}", rand::random::<u64>() % 1_000_000_000_000);
        let group = Group { id: id.clone(), subject, creator, created: now, participants, holders: BTreeMap::new() };
        Ok(self.groups.entry(id).or_insert(group))
    }

    /// By the id alone or the whole JID.
    pub fn get(&self, id: &str) -> Option<&Group> {
        self.groups.get(bare(id))
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut Group> {
        self.groups.get_mut(bare(id))
    }

    /// This sender's key is no longer held by anybody: it has a new one.
    pub fn forget_sender(&mut self, sender: &Number) {
        for group in self.groups.values_mut() {
            group.holders.remove(sender);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }
}

/// The one spelling of a group outside of stanzas: its whole JID.
pub fn whole(id: &str) -> String {
    format!("{}@g.us", bare(id))
}

/// The group's id without its server.
pub fn bare(id: &str) -> &str {
    id.strip_suffix("@g.us").unwrap_or(id)
}
