//! Commands that show, create, change, join and leave groups.

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

/// The largest page of groups. 1,000 groups are half a megabyte, and NATS takes one megabyte.
pub const MOST_GROUPS: usize = 1_000;
/// The most participants in one command. WhatsApp's groups have up to 1,024, and WhatsApp soon bans an account that
/// adds so many at once.
pub const MOST_PARTICIPANTS: usize = 256;
/// The most members in [`GroupDetails`]: NATS takes one megabyte.
pub const MOST_MEMBERS_SHOWN: usize = 5_000;
/// The characters of a subject and of a description, as WhatsApp counts them.
pub const LONGEST_SUBJECT: usize = 100;
pub const LONGEST_DESCRIPTION: usize = 2_048;

/// Asks for a page of the account's groups, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListGroups {
    /// 1 to [`MOST_GROUPS`].
    pub limit: usize,
    /// The page starts after this id.
    #[serde(default)]
    pub after: Option<ChatJid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPage {
    pub groups: Vec<GroupSummary>,
    /// The `after` of the next page; null on the last page.
    pub next: Option<ChatJid>,
}

/// A group without its description and its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupSummary {
    pub id: ChatJid,
    pub subject: String,
    /// The canonical address of the creator; null if WhatsApp does not give it.
    pub owner: Option<ChatJid>,
    /// ISO 8601; null if WhatsApp does not give it.
    pub created_at: Option<String>,
    /// Whether only administrators may write.
    pub announcement: bool,
    /// Whether only administrators may change the group's data.
    pub locked: bool,
    /// The number of members.
    pub size: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupDetails {
    pub id: ChatJid,
    pub subject: String,
    /// Null if the group has none.
    pub description: Option<String>,
    /// The canonical address of the creator; null if WhatsApp does not give it.
    pub owner: Option<ChatJid>,
    /// ISO 8601; null if WhatsApp does not give it.
    pub created_at: Option<String>,
    /// Whether only administrators may write.
    pub announcement: bool,
    /// Whether only administrators may change the group's data.
    pub locked: bool,
    /// The number of members.
    pub size: usize,
    /// At most [`MOST_MEMBERS_SHOWN`] of the members.
    pub participants: Vec<GroupMember>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupMember {
    /// The canonical address.
    pub jid: ChatJid,
    /// `…@s.whatsapp.net`; null if unknown.
    pub pn: Option<ChatJid>,
    /// `…@lid`; null if unknown.
    pub lid: Option<ChatJid>,
    /// Null for a member without further rights.
    pub admin: Option<GroupRole>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum GroupRole {
    Admin,
    /// The creator of the group, who cannot lose this role.
    Superadmin,
}

/// A command that needs nothing but the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupRequest {
    pub group: ChatJid,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateGroup {
    /// 1 to [`LONGEST_SUBJECT`] characters.
    pub subject: String,
    /// People, at most [`MOST_PARTICIPANTS`].
    pub participants: Vec<ChatJid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupCreated {
    pub group: GroupDetails,
    /// The result for each requested participant.
    pub participants: Vec<ParticipantResult>,
}

/// A field that is null stays unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeGroup {
    pub group: ChatJid,
    #[serde(default)]
    pub subject: Option<String>,
    /// An empty description removes it.
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub announcement: Option<bool>,
    #[serde(default)]
    pub locked: Option<bool>,
}

/// The request of `add-participants`, `remove-participants`, `promote-participants` and `demote-participants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeParticipants {
    pub group: ChatJid,
    /// People, 1 to [`MOST_PARTICIPANTS`].
    pub participants: Vec<ChatJid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantResults {
    /// In the order of the request.
    pub participants: Vec<ParticipantResult>,
}

/// The result for one participant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantResult {
    /// The address in the request.
    pub jid: ChatJid,
    pub ok: bool,
    /// WhatsApp's number, if WhatsApp refused.
    pub code: Option<u16>,
    /// The reason in words; null on success.
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InviteLink {
    /// `https://chat.whatsapp.com/…`.
    pub link: String,
    /// The last part of the link.
    pub code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinGroup {
    pub code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupJoined {
    pub id: ChatJid,
    /// Whether an administrator must still accept the account.
    pub pending: bool,
}

/// The account is no longer in the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLeft {}
