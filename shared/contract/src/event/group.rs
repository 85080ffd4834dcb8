//! `group.updated` and `group.participants`. Each is published at most once: see the promises.

use super::{EventOrigin, KnownAddresses};
use serde::Serialize;

/// `data` of `group.updated`. The author is the person who made the change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupUpdated {
    #[serde(flatten)]
    pub change: GroupChange,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `change`, and the `details` that belong to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", content = "details", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum GroupChange {
    /// The group has a new name.
    Subject { subject: String },
    /// The group has a new description; null if it was deleted.
    Description { description: Option<String> },
    /// The group's picture was changed or removed.
    Picture { removed: bool },
    /// Whether only administrators may change the group's data.
    Locked { locked: bool },
    /// Whether only administrators may write.
    Announcement { announcement: bool },
    /// After how many seconds messages disappear; 0: never.
    Expiration { seconds: u32 },
    /// Whether an administrator must approve new members.
    Approval { required: bool },
    /// Who may add members, as WhatsApp names it.
    MemberAddMode { mode: String },
    /// The invitation link was replaced.
    InviteRevoked {},
    /// The group was created.
    Created {},
    /// The group was deleted.
    Deleted { reason: Option<String> },
    /// A change that Kurir does not know, under WhatsApp's own name.
    Other { name: String },
}

/// `data` of `group.participants`. The author is the person who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupParticipants {
    pub action: ParticipantAction,
    pub participants: Vec<KnownAddresses>,
    /// WhatsApp's own word for the reason, for example `invite`; null if it gave none.
    pub reason: Option<String>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// What happened to members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ParticipantAction {
    Add,
    Remove,
    Promote,
    Demote,
    /// A member has a new number.
    NumberChanged,
    /// Somebody asks to join.
    JoinRequested,
    /// A request to join was withdrawn or declined.
    JoinRequestRevoked,
}
