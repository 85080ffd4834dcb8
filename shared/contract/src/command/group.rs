//! Groups: shown, made, changed, joined and left.

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

/// Groups of one page at most: 1,000 of them are half a megabyte, and NATS takes one.
pub const MOST_GROUPS: usize = 1_000;
/// Participants that one command names at most. WhatsApp's groups have up to 1,024; whoever adds so many at once is soon
/// banned.
pub const MOST_PARTICIPANTS: usize = 256;
/// Members that [`GroupDetails`] shows at most, since NATS takes one megabyte.
pub const MOST_MEMBERS_SHOWN: usize = 5_000;
/// Characters of a subject, and of a description, as WhatsApp counts them.
pub const LONGEST_SUBJECT: usize = 100;
pub const LONGEST_DESCRIPTION: usize = 2_048;

/// A page of the groups that the account is in, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListGroups {
    /// 1 to [`MOST_GROUPS`].
    pub limit: usize,
    /// Begins behind this id.
    #[serde(default)]
    pub after: Option<ChatJid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPage {
    pub groups: Vec<GroupSummary>,
    /// `after` of the next page; null if this is the last one.
    pub next: Option<ChatJid>,
}

/// A group without its description and its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupSummary {
    pub id: ChatJid,
    pub subject: String,
    /// Who made it, canonical; null if WhatsApp does not say.
    pub owner: Option<ChatJid>,
    /// ISO 8601; null if WhatsApp does not say.
    pub created_at: Option<String>,
    /// Whether only administrators may write.
    pub announcement: bool,
    /// Whether only administrators may change its data.
    pub locked: bool,
    /// How many are in it.
    pub size: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupDetails {
    pub id: ChatJid,
    pub subject: String,
    /// Null if it has none.
    pub description: Option<String>,
    /// Who made it, canonical; null if WhatsApp does not say.
    pub owner: Option<ChatJid>,
    /// ISO 8601; null if WhatsApp does not say.
    pub created_at: Option<String>,
    /// Whether only administrators may write.
    pub announcement: bool,
    /// Whether only administrators may change its data.
    pub locked: bool,
    /// How many are in it.
    pub size: usize,
    /// Of these at most [`MOST_MEMBERS_SHOWN`].
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
    /// Who made the group: nobody takes his rights.
    Superadmin,
}

/// A group, and nothing more to say of it.
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
    /// People; at most [`MOST_PARTICIPANTS`].
    pub participants: Vec<ChatJid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupCreated {
    pub group: GroupDetails,
    /// How it went with each of those who were to be in it.
    pub participants: Vec<ParticipantResult>,
}

/// What is null stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeGroup {
    pub group: ChatJid,
    #[serde(default)]
    pub subject: Option<String>,
    /// An empty one removes it.
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub announcement: Option<bool>,
    #[serde(default)]
    pub locked: Option<bool>,
}

/// Of `add-participants`, `remove-participants`, `promote-participants` and `demote-participants`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeParticipants {
    pub group: ChatJid,
    /// People; 1 to [`MOST_PARTICIPANTS`].
    pub participants: Vec<ChatJid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantResults {
    /// In the order of the request.
    pub participants: Vec<ParticipantResult>,
}

/// How it went with one of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantResult {
    /// As it was asked for.
    pub jid: ChatJid,
    pub ok: bool,
    /// WhatsApp's number, if it refused.
    pub code: Option<u16>,
    /// Why, in words; null if it was done.
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InviteLink {
    /// `https://chat.whatsapp.com/…`.
    pub link: String,
    /// What stands at the link's end.
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
    /// Whether an administrator must still let the account in.
    pub pending: bool,
}

/// The account is no longer in the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLeft {}
