//! Channels: their makers and followers, their texts, and the messages in them, which are public and not encrypted.
//! Who may change what, and who is told, is decided in `stanza`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Result, ensure};
use rand::distr::{Alphanumeric, SampleString as _};
use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Server};

use crate::{
    groups::{ProfilePicture, bare},
    phone_number::PhoneNumber,
    randomness::{Randomness, random},
    snapshot::base64_field,
};

/// Channels of one simulator; a test makes a handful.
const MAX_CHANNELS: usize = 10_000;
/// Messages that one channel keeps; the oldest are forgotten.
const MAX_MESSAGES: usize = 1_000;
/// Bytes of the messages of all channels. A channel forgets its oldest ones for a new one.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Letters and digits of an invitation's code.
const INVITE: usize = 22;
/// Where the numbers of a channel's messages begin.
const FIRST_SERVER_ID: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelRole {
    Owner,
    Admin,
    Subscriber,
    /// Not in it.
    Guest,
}

impl ChannelRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Subscriber => "subscriber",
            Self::Guest => "guest",
        }
    }

    pub fn may_write(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

/// A name or a description, with the time of its last change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChannelText {
    pub text: String,
    /// Unix seconds.
    pub set: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelMessage {
    pub id: String,
    pub server_id: u64,
    /// Unix seconds.
    pub at: i64,
    pub author: Option<PhoneNumber>,
    pub stanza_type: String,
    pub media_type: Option<String>,
    /// A `Message` as protobuf; empty once it is deleted.
    #[serde(with = "base64_field")]
    pub plaintext: Vec<u8>,
    /// Unix milliseconds of the last edit.
    pub edited_ms: Option<i64>,
    pub reactions: BTreeMap<PhoneNumber, String>,
    pub viewers: BTreeSet<PhoneNumber>,
}

impl ChannelMessage {
    pub fn is_deleted(&self) -> bool {
        self.plaintext.is_empty()
    }

    /// How many people chose each emoji.
    pub fn reaction_counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for code in self.reactions.values() {
            *counts.entry(code.as_str()).or_default() += 1;
        }
        counts
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Channel {
    /// Digits.
    pub id: String,
    pub name: ChannelText,
    pub description: ChannelText,
    /// Unix seconds.
    pub created: i64,
    pub invite: String,
    /// None of a channel that nobody made: something was written in it, and everybody follows it.
    pub owner: Option<PhoneNumber>,
    pub admins: BTreeSet<PhoneNumber>,
    pub followers: BTreeSet<PhoneNumber>,
    /// Followers that want no notifications.
    pub muted: BTreeSet<PhoneNumber>,
    /// Not kept over a restart, like all media.
    #[serde(skip)]
    pub picture: Option<ProfilePicture>,
    next_server_id: u64,
    messages: VecDeque<ChannelMessage>,
}

impl Channel {
    fn new(id: String, name: &str, owner: Option<PhoneNumber>, now: i64) -> Self {
        Self {
            id,
            name: ChannelText { text: name.to_owned(), set: now },
            description: ChannelText { text: String::new(), set: now },
            created: now,
            invite: Alphanumeric.sample_string(&mut Randomness, INVITE),
            followers: owner.iter().cloned().collect(),
            owner,
            admins: BTreeSet::new(),
            muted: BTreeSet::new(),
            picture: None,
            next_server_id: FIRST_SERVER_ID,
            messages: VecDeque::new(),
        }
    }

    pub fn jid(&self) -> Jid {
        Jid::new(self.id.as_str(), Server::Newsletter)
    }

    pub fn role(&self, number: &PhoneNumber) -> ChannelRole {
        if self.owner.as_ref() == Some(number) {
            ChannelRole::Owner
        } else if self.admins.contains(number) {
            ChannelRole::Admin
        } else if self.is_followed_by(number) {
            ChannelRole::Subscriber
        } else {
            ChannelRole::Guest
        }
    }

    pub fn is_followed_by(&self, number: &PhoneNumber) -> bool {
        self.owner.is_none() || self.followers.contains(number)
    }

    fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.plaintext.len()).sum()
    }

    /// A new message gets the next number.
    fn add(&mut self, message: ChannelMessage) -> u64 {
        let server_id = self.next_server_id;
        self.next_server_id += 1;
        if self.messages.len() == MAX_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(ChannelMessage { server_id, ..message });
        server_id
    }

    /// The oldest first.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &ChannelMessage> {
        self.messages.iter()
    }

    pub fn by_id(&mut self, id: &str) -> Option<&mut ChannelMessage> {
        self.messages.iter_mut().find(|message| message.id == id)
    }

    pub fn by_server_id(&mut self, server_id: u64) -> Option<&mut ChannelMessage> {
        self.messages.iter_mut().find(|message| message.server_id == server_id)
    }
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct ChannelTable {
    channels: BTreeMap<String, Channel>,
}

impl ChannelTable {
    pub fn create(&mut self, name: &str, owner: PhoneNumber, now: i64) -> Result<&mut Channel> {
        self.check_room()?;
        let id = format!("120363{:012}", random::<u64>() % 1_000_000_000_000);
        Ok(self.channels.entry(id.clone()).or_insert_with(|| Channel::new(id, name, Some(owner), now)))
    }

    /// A channel that is there as soon as something is written in it.
    pub fn meet(&mut self, id: &str, now: i64) -> Result<&mut Channel> {
        if !self.channels.contains_key(id) {
            self.check_room()?;
        }
        Ok(self.channels.entry(id.to_owned()).or_insert_with(|| Channel::new(id.to_owned(), "A channel", None, now)))
    }

    fn check_room(&self) -> Result<()> {
        ensure!(self.channels.len() < MAX_CHANNELS, "there are {MAX_CHANNELS} channels already");
        Ok(())
    }

    pub fn get(&self, id: &str) -> Option<&Channel> {
        self.channels.get(bare(id))
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut Channel> {
        self.channels.get_mut(bare(id))
    }

    /// Gives a new message its number; none if there is no such channel, or no room.
    pub fn add_message(&mut self, id: &str, message: ChannelMessage) -> Option<u64> {
        let others: usize = self.channels.values().filter(|one| one.id != bare(id)).map(Channel::bytes).sum();
        let room = MAX_BYTES.saturating_sub(others);
        let channel = self.get_mut(id)?;
        if message.plaintext.len() > room {
            return None;
        }
        while channel.bytes() + message.plaintext.len() > room && channel.messages.pop_front().is_some() {}
        Some(channel.add(message))
    }

    pub fn invited_by(&self, code: &str) -> Option<&Channel> {
        self.channels.values().find(|channel| channel.invite == code)
    }

    pub fn remove(&mut self, id: &str) {
        self.channels.remove(bare(id));
    }

    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> ChannelMessage {
        ChannelMessage {
            id: id.to_owned(),
            server_id: 0,
            at: 1,
            author: None,
            stanza_type: "text".to_owned(),
            media_type: None,
            plaintext: vec![1],
            edited_ms: None,
            reactions: BTreeMap::new(),
            viewers: BTreeSet::new(),
        }
    }

    #[test]
    fn messages_are_numbered_and_the_oldest_are_forgotten() {
        let mut table = ChannelTable::default();
        let channel = table.meet("1", 1).unwrap();
        let numbers: Vec<u64> = (0..=MAX_MESSAGES).map(|n| channel.add(message(&n.to_string()))).collect();
        assert_eq!(numbers.first(), Some(&FIRST_SERVER_ID));
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!(channel.messages().count(), MAX_MESSAGES);
        assert!(channel.by_id("0").is_none() && channel.by_id("1").is_some());
    }

    #[test]
    fn the_bytes_of_all_channels_are_bounded() {
        let mut table = ChannelTable::default();
        let large = |id: &str| ChannelMessage { plaintext: vec![1; MAX_BYTES / 2], ..message(id) };
        for id in ["1", "2"] {
            table.meet(id, 1).unwrap();
        }
        let added: Vec<bool> = [("1", "a"), ("1", "b"), ("1", "c"), ("2", "d")]
            .into_iter()
            .map(|(channel, id)| table.add_message(channel, large(id)).is_some())
            .collect();
        assert_eq!(added, [true, true, true, false], "the other channel has it all");
        let kept: Vec<&str> = table.get("1").unwrap().messages().map(|message| message.id.as_str()).collect();
        assert_eq!(kept, ["b", "c"]);
        assert!(table.add_message("3", message("e")).is_none(), "there is no such channel");
    }

    #[test]
    fn a_role_decides_who_writes() {
        let [owner, admin, follower, guest] =
            ["15550100001", "15550100002", "15550100003", "15550100004"].map(|n| n.parse::<PhoneNumber>().unwrap());
        let mut table = ChannelTable::default();
        let channel = table.create("News", owner.clone(), 1).unwrap();
        channel.admins.insert(admin.clone());
        channel.followers.insert(follower.clone());
        let roles = [&owner, &admin, &follower, &guest].map(|number| channel.role(number));
        assert_eq!(roles, [ChannelRole::Owner, ChannelRole::Admin, ChannelRole::Subscriber, ChannelRole::Guest]);
        assert_eq!(roles.map(ChannelRole::may_write), [true, true, false, false]);
        let (id, invite) = (channel.jid().to_string(), channel.invite.clone());
        assert!(table.get(&id).is_some() && table.invited_by(&invite).is_some());
        table.remove(&id);
        assert!(table.get(&id).is_none());
    }
}
