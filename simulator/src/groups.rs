//! Groups: their members and rights, their settings, and which device holds which sender key.
//! Whether a change is allowed is decided in `stanza`, where a client asks for it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Server, builder::NodeBuilder};

use crate::{phone_number::PhoneNumber, randomness::random};

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
    /// Participants who may change everything. At first this is the creator.
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
    #[serde(default)]
    pub settings: GroupSettings,
    /// When and by whom the subject was set.
    #[serde(default)]
    pub subject_set: Option<(i64, PhoneNumber)>,
    /// Counts the changes of its members.
    #[serde(default)]
    pub members_version: u64,
    /// Counts the changes of who may write.
    #[serde(default)]
    pub announcement_version: u64,
    /// Who wants to join and is not approved yet.
    #[serde(default)]
    pub requests: BTreeMap<PhoneNumber, JoinRequest>,
    /// The personal invitations of people who could not be added, by code.
    #[serde(default)]
    pub invitations: BTreeMap<String, GroupInvitation>,
    /// Every member may add others.
    #[serde(default)]
    pub members_add: bool,
    #[serde(default)]
    pub place: CommunityPlace,
    /// The codes of the invitation links. The last one is valid, the others were revoked.
    #[serde(default)]
    pub invites: Vec<String>,
    /// Not kept over a restart, like all media.
    #[serde(skip)]
    pub picture: Option<ProfilePicture>,
    /// For each simulated sender, the companions that have its sender key.
    #[serde(default)]
    pub holders: BTreeMap<PhoneNumber, BTreeSet<(PhoneNumber, u16)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDescription {
    /// The id of the current text. A change has to name it.
    pub id: String,
    pub text: String,
    /// When and by whom it was set.
    #[serde(default)]
    pub set: Option<(i64, PhoneNumber)>,
}

/// Settings beyond who may write, change and add.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupSettings {
    /// Seconds after which messages disappear; 0: never.
    pub ephemeral: u32,
    /// Who follows the link has to be approved.
    pub approval: bool,
    /// Every member may ask for the invitation's link.
    pub member_links: bool,
    pub no_frequently_forwarded: bool,
    pub admin_reports: bool,
    /// New members see what was written before.
    pub history: bool,
}

/// Where a group stands among others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommunityPlace {
    #[default]
    Alone,
    /// It is a community: nobody writes in it, others are linked to it.
    Parent { members_make_groups: bool },
    /// It is linked to a community.
    Linked { parent: String, kind: LinkedKind },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkedKind {
    /// Everybody is in it, and only administrators write.
    Announcements,
    General,
    Normal,
}

/// Somebody wants to join.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    /// Unix seconds.
    pub at: i64,
    pub method: String,
}

/// What somebody got who could not be added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupInvitation {
    pub invited: PhoneNumber,
    pub admin: PhoneNumber,
    /// Unix seconds.
    pub until: i64,
}

/// The version before and after a change of members.
pub struct MembersVersion {
    before: u64,
    after: u64,
}

impl MembersVersion {
    pub fn on(&self, node: NodeBuilder) -> NodeBuilder {
        node.attr("prev_v_id", self.before.to_string()).attr("v_id", self.after.to_string())
    }
}

/// A picture of a group or a person, kept in the media store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfilePicture {
    /// Digits, the same in the answer, the notification and every query.
    pub id: String,
    pub path: String,
    /// The preview.
    pub preview_path: String,
}

impl ChatGroup {
    pub fn is_admin(&self, number: &PhoneNumber) -> bool {
        self.participants.contains(number) && self.admins.contains(number)
    }

    pub fn next_members_version(&mut self) -> MembersVersion {
        self.members_version += 1;
        MembersVersion { before: self.members_version - 1, after: self.members_version }
    }

    /// The id of the community that it is linked to.
    pub fn parent(&self) -> Option<&str> {
        match &self.place {
            CommunityPlace::Linked { parent, .. } => Some(parent),
            CommunityPlace::Alone | CommunityPlace::Parent { .. } => None,
        }
    }

    /// The id of the community whose members its members are. Who is in its announcements is in it already.
    pub fn community(&self) -> Option<&str> {
        match &self.place {
            CommunityPlace::Parent { .. } => Some(&self.id),
            CommunityPlace::Linked { parent, kind } if *kind != LinkedKind::Announcements => Some(parent),
            CommunityPlace::Linked { .. } | CommunityPlace::Alone => None,
        }
    }

    pub fn is_announcements(&self) -> bool {
        matches!(self.place, CommunityPlace::Linked { kind: LinkedKind::Announcements, .. })
    }

    pub fn is_full(&self) -> bool {
        self.participants.len() >= MAX_PARTICIPANTS
    }

    /// Removes a member with its rights and the sender keys that it holds. A member that returns gets them again.
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
        let id = format!("120363{:012}", random::<u64>() % 1_000_000_000_000);
        let group = ChatGroup {
            id: id.clone(),
            subject,
            subject_set: Some((now, creator.clone())),
            settings: GroupSettings::default(),
            members_version: 1,
            announcement_version: 1,
            requests: BTreeMap::new(),
            invitations: BTreeMap::new(),
            admins: BTreeSet::from([creator.clone()]),
            creator,
            created: now,
            participants,
            description: None,
            announcement: false,
            locked: false,
            members_add: false,
            place: CommunityPlace::Alone,
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

    pub fn remove(&mut self, id: &str) {
        self.groups.remove(bare(id));
    }

    /// The group that this invitation code belongs to, revoked or not.
    pub fn invited_by(&self, code: &str) -> Option<&ChatGroup> {
        self.groups.values().find(|group| group.invites.iter().any(|invite| invite == code))
    }

    /// Forgets who holds this sender's key, because the sender has a new one.
    pub fn forget_sender(&mut self, sender: &PhoneNumber) {
        for group in self.groups.values_mut() {
            group.holders.remove(sender);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &ChatGroup> {
        self.groups.values()
    }
}

/// The address under which everybody's status posts go out.
pub const STATUS: &str = "status@broadcast";

/// The group's whole JID, which is how groups are written outside of stanzas. Another whole JID stays as it is.
pub fn whole(id: &str) -> String {
    if id.contains('@') { id.to_owned() } else { format!("{id}@g.us") }
}

/// The id of a group or channel without its server.
pub fn bare(id: &str) -> &str {
    id.split('@').next().unwrap_or(id)
}

/// The chat of several people that this id means: a group, or a broadcast.
pub fn jid_of(id: &str) -> Jid {
    if id.ends_with("@broadcast") { Jid::new(bare(id), Server::Broadcast) } else { Jid::group(bare(id)) }
}
