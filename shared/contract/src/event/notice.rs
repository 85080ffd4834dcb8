//! What happens beside messages: groups, calls, presence, contacts. At most once: see the promises.

use super::{EventOrigin, KnownAddresses};
use crate::address::ChatJid;
use serde::Serialize;

/// `data` of `group.updated`. The author is who changed it.
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
    Subject {
        subject: String,
    },
    /// `description` is null if it was deleted.
    Description {
        description: Option<String>,
    },
    Picture {
        removed: bool,
    },
    /// Whether only administrators may change the group's data.
    Locked {
        locked: bool,
    },
    /// Whether only administrators may write.
    Announcement {
        announcement: bool,
    },
    /// After how many seconds messages disappear; 0 is never.
    Expiration {
        seconds: u32,
    },
    /// Whether an administrator must let new members in.
    Approval {
        required: bool,
    },
    /// Who may add members, in WhatsApp's words.
    MemberAddMode {
        mode: String,
    },
    /// The invitation link was replaced.
    InviteRevoked {},
    Created {},
    Deleted {
        reason: Option<String>,
    },
    /// What has no name here, under WhatsApp's own.
    Other {
        name: String,
    },
}

/// `data` of `group.participants`. The author is who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupParticipants {
    pub action: ParticipantAction,
    pub participants: Vec<KnownAddresses>,
    /// Why, in WhatsApp's words, for example `invite`; null if it did not say.
    pub reason: Option<String>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

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
    /// Somebody asks to be let in.
    JoinRequested,
    /// Such a request was taken back or turned down.
    JoinRequestRevoked,
}

/// `data` of `call.received`, `call.missed` and `call.ended`. The author is who calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallEvent {
    pub call_id: String,
    pub video: bool,
    /// The group that is called; null for a call to this account alone.
    pub group: Option<ChatJid>,
    /// Why it ended or was missed, in WhatsApp's words; null if it did not say, and while it rings.
    pub reason: Option<String>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `data` of `presence.updated`. The author is whose presence it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PresenceUpdated {
    pub presence: PresenceState,
    /// When he was last there, milliseconds since 1970; null if he is, or hides it.
    pub last_seen: Option<i64>,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PresenceState {
    Available,
    Unavailable,
    /// He types in the chat.
    Composing,
    /// He records a voice note in the chat.
    Recording,
    /// He does neither any more.
    Paused,
}

/// `data` of `contact.updated`. The author is the contact.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContactUpdated {
    #[serde(flatten)]
    pub change: ContactChange,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `change`, and the `details` that belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", content = "details", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ContactChange {
    Picture {
        removed: bool,
    },
    About {
        about: String,
    },
    /// The contact has a new number: `previous` is the old address, the author the new one.
    Number {
        previous: KnownAddresses,
    },
    /// The name in the phone's address book.
    Name {
        full_name: Option<String>,
        first_name: Option<String>,
    },
    /// Something of the profile changed; WhatsApp did not say what.
    Profile {},
}

/// `data` of `contact.identity_changed`: the contact has new keys, as after a new installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IdentityChanged {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}
