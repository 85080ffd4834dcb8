//! Groups: who is in them with which rights, what they say of themselves, and which device already holds whose sender
//! key. Promises nothing about who may change them: that is decided where a client asks.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

use crate::phone_number::PhoneNumber;

/// WhatsApp's own limit of a group.
const MAX_PARTICIPANTS: usize = 1_024;

/// Groups of one simulator; a test makes a handful.
const MAX_GROUPS: usize = 10_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChatGroup {
    /// `120363…`, without the server.
    pub id: String,
    pub subject: String,
    pub creator: PhoneNumber,
    pub created: i64,
    pub participants: BTreeSet<PhoneNumber>,
    /// Those participants who may change everything; its maker is one of them at first.
    #[serde(default)]
    pub admins: BTreeSet<PhoneNumber>,
    #[serde(default)]
    pub description: Option<GroupDescription>,
    /// Only administrators may write.
    #[serde(default)]
    pub announcement: bool,
    /// Only administrators may change its data.
    #[serde(default)]
    pub locked: bool,
    /// Every member may add others.
    #[serde(default)]
    pub members_add: bool,
    /// The codes of its invitation links; the last one is good, the others were revoked.
    #[serde(default)]
    pub invites: Vec<String>,
    /// Not kept over a restart, as no medium is.
    #[serde(skip)]
    pub picture: Option<ProfilePicture>,
    /// Simulated senders, and the companions that have got their sender key.
    #[serde(default)]
    pub holders: BTreeMap<PhoneNumber, BTreeSet<(PhoneNumber, u16)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDescription {
    /// Whoever changes it must know the one that is there.
    pub id: String,
    pub text: String,
}

/// A picture of a group or a person, kept in the media store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfilePicture {
    pub id: String,
    pub path: String,
}

impl ChatGroup {
    pub fn is_admin(&self, number: &PhoneNumber) -> bool {
        self.participants.contains(number) && self.admins.contains(number)
    }

    pub fn is_full(&self) -> bool {
        self.participants.len() >= MAX_PARTICIPANTS
    }

    /// Takes somebody out, with his rights and the keys that he holds: whoever comes again gets them anew.
    pub fn remove(&mut self, number: &PhoneNumber) {
        self.participants.remove(number);
        self.admins.remove(number);
        self.holders.remove(number);
        for holders in self.holders.values_mut() {
            holders.retain(|(holder, _)| holder != number);
        }
    }

    pub fn jid(&self) -> Jid {
        Jid::group(self.id.as_str())
    }
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct GroupTable {
    groups: BTreeMap<String, ChatGroup>,
}

impl GroupTable {
    pub fn create(
        &mut self,
        subject: String,
        creator: PhoneNumber,
        participants: BTreeSet<PhoneNumber>,
        now: i64,
    ) -> Result<&ChatGroup> {
        ensure!(participants.len() <= MAX_PARTICIPANTS, "a group has at most {MAX_PARTICIPANTS} participants");
        ensure!(self.groups.len() < MAX_GROUPS, "there are {MAX_GROUPS} groups already");
        let id = format!("120363{:012}", rand::random::<u64>() % 1_000_000_000_000);
        let group = ChatGroup {
            id: id.clone(),
            subject,
            admins: BTreeSet::from([creator.clone()]),
            creator,
            created: now,
            participants,
            description: None,
            announcement: false,
            locked: false,
            members_add: false,
            invites: Vec::new(),
            picture: None,
            holders: BTreeMap::new(),
        };
        Ok(self.groups.entry(id).or_insert(group))
    }

    /// By the id alone or the whole JID.
    pub fn get(&self, id: &str) -> Option<&ChatGroup> {
        self.groups.get(bare(id))
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut ChatGroup> {
        self.groups.get_mut(bare(id))
    }

    /// Whose invitation this code is, revoked or not.
    pub fn invited_by(&self, code: &str) -> Option<&ChatGroup> {
        self.groups.values().find(|group| group.invites.iter().any(|invite| invite == code))
    }

    /// This sender's key is no longer held by anybody: it has a new one.
    pub fn forget_sender(&mut self, sender: &PhoneNumber) {
        for group in self.groups.values_mut() {
            group.holders.remove(sender);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &ChatGroup> {
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
