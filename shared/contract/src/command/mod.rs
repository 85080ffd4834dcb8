//! Commands to a gateway: a NATS request on [`subject::command`](crate::subject::command), answered once with a
//! [`Reply`].

mod call;
mod chat;
mod content;
pub mod group;
pub(crate) mod idempotency;
mod media;
pub mod people;

pub use call::{CallRejected, RejectCall};
pub use chat::{
    Forwarded, MarkRead, OwnPresence, SendEdit, SendForward, SendPoll, SendReaction, SendRevoke, SetPresence,
    ShowTyping, SubscribePresence, Typing,
};
pub use content::{SendContact, SendLocation};
pub use idempotency::{IDEMPOTENCY_BUCKET, IDEMPOTENCY_LASTS, IdempotencyKey, InvalidIdempotencyKey};
pub use media::{FileToSend, MediaKind, SendMedia};
pub use people::{CheckNumber, NumberChecked};

use crate::{
    address::ChatJid,
    job::JobId,
    session::{RestrictionKind, SessionStatus},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Names the commands once: the enum, all of it, and what each is called on the wire.
macro_rules! commands {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What a gateway can be asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Command {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

commands! {
    /// [`Empty`] → [`Status`].
    Status = "status",
    /// [`PairingCodeRequest`] → [`PairingCode`].
    PairingCode = "pairing-code",
    /// [`Empty`] → [`Status`]: begins anew after an end (a new QR code after a logout).
    Restart = "restart",
    /// [`Empty`] → [`LoggedOut`].
    Logout = "logout",

    /// [`SendText`] → [`Sent`].
    SendText = "send-text",
    /// [`SendLocation`] → [`Sent`].
    SendLocation = "send-location",
    /// [`SendContact`] → [`Sent`].
    SendContact = "send-contact",
    /// [`SendMedia`] → [`Sent`].
    SendMedia = "send-media",
    /// [`SendPoll`] → [`Sent`].
    SendPoll = "send-poll",
    /// [`SendReaction`] → [`Sent`].
    SendReaction = "send-reaction",
    /// [`SendEdit`] → [`Sent`].
    SendEdit = "send-edit",
    /// [`SendRevoke`] → [`Sent`].
    SendRevoke = "send-revoke",
    /// [`SendForward`] → [`Sent`].
    SendForward = "send-forward",

    /// [`Job`](crate::job::Job) → [`JobRecord`](crate::job::JobRecord): stored when it is answered.
    SubmitJob = "submit-job",
    /// [`JobNamed`](crate::job::JobNamed) → [`JobRecord`](crate::job::JobRecord).
    CancelJob = "cancel-job",

    /// [`MarkRead`] → [`Empty`].
    MarkRead = "mark-read",
    /// [`ShowTyping`] → [`Empty`].
    ShowTyping = "show-typing",
    /// [`SetPresence`] → [`Empty`].
    SetPresence = "set-presence",
    /// [`SubscribePresence`] → [`Empty`]: its `presence.updated` come from now on.
    SubscribePresence = "subscribe-presence",

    /// [`CheckNumber`] → [`NumberChecked`].
    CheckNumber = "check-number",
    /// [`people::OfPerson`] → [`people::Contact`].
    Contact = "contact",
    /// [`people::OfPicture`] → [`people::PictureFound`].
    Picture = "picture",
    /// [`people::SetPicture`] → [`people::PictureSet`].
    SetPicture = "set-picture",
    /// [`Empty`] → [`people::Blocklist`].
    Blocklist = "blocklist",
    /// [`people::OfPerson`] → [`people::Blocked`].
    Block = "block",
    /// [`people::OfPerson`] → [`people::Blocked`].
    Unblock = "unblock",

    /// [`group::ListGroups`] → [`group::Groups`].
    ListGroups = "list-groups",
    /// [`group::OfGroup`] → [`group::Group`].
    Group = "group",
    /// [`group::CreateGroup`] → [`group::GroupCreated`].
    CreateGroup = "create-group",
    /// [`group::ChangeGroup`] → [`group::Group`].
    ChangeGroup = "change-group",
    /// [`group::Participants`] → [`group::ParticipantResults`].
    AddParticipants = "add-participants",
    /// [`group::Participants`] → [`group::ParticipantResults`].
    RemoveParticipants = "remove-participants",
    /// [`group::Participants`] → [`group::ParticipantResults`]: makes administrators.
    PromoteParticipants = "promote-participants",
    /// [`group::Participants`] → [`group::ParticipantResults`]: of administrators makes members.
    DemoteParticipants = "demote-participants",
    /// [`group::OfGroup`] → [`group::Invite`].
    GroupInvite = "group-invite",
    /// [`group::OfGroup`] → [`group::Invite`]: a new link; the old one is no longer good.
    RevokeGroupInvite = "revoke-group-invite",
    /// [`group::JoinGroup`] → [`group::Joined`].
    JoinGroup = "join-group",
    /// [`group::OfGroup`] → [`group::Left`].
    LeaveGroup = "leave-group",

    /// [`RejectCall`] → [`CallRejected`].
    RejectCall = "reject-call",
}

impl Command {
    /// A message to WhatsApp: it has its turn in its chat, is tried several times under one id, and is answered with
    /// [`Sent`].
    #[must_use]
    pub fn is_send(self) -> bool {
        self.as_str().starts_with("send-")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No command has this name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no command {0:?}")]
pub struct UnknownCommand(String);

impl UnknownCommand {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl FromStr for Command {
    type Err = UnknownCommand;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|command| command.as_str() == name)
            .ok_or_else(|| UnknownCommand(name.to_owned()))
    }
}

/// The body of a command without arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub is_connected: bool,
    pub qr_code: Option<String>,
    /// `WHATSAPP_SESSION_PATH` as it was set.
    pub session_path: String,
    pub status: SessionStatus,
    /// Why, in words; null if there is nothing to say.
    pub reason: Option<String>,
    /// When a ban ends, ISO 8601.
    pub until: Option<String>,
    /// The own number's JID once paired.
    pub jid: Option<ChatJid>,
    /// The own LID once paired.
    pub lid: Option<ChatJid>,
    /// When the account's phone was last seen, ISO 8601.
    #[serde(default)]
    pub phone_last_seen: Option<String>,
    /// What WhatsApp does not let the account do at the moment; null if nothing.
    #[serde(default)]
    pub restriction: Option<Restriction>,
}

/// A restriction by WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restriction {
    pub kind: RestrictionKind,
    /// ISO 8601.
    pub since: String,
    /// When it ends, or is looked at again, ISO 8601.
    pub until: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendText {
    pub to: ChatJid,
    /// Trimmed, 1 to 4096 characters.
    pub text: String,
    /// Id of the message that this one replies to.
    #[serde(default)]
    pub quoted: Option<String>,
    /// Who wrote that one, in a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted_participant: Option<ChatJid>,
    /// Who is mentioned; the text names each as `@` and his digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<ChatJid>,
    /// The same key never sends twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

impl SendText {
    /// A text and nothing around it.
    #[must_use]
    pub fn new(to: ChatJid, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { to, text, quoted: None, quoted_participant: None, mentions: Vec::new(), idempotency_key: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    pub message_id: String,
    /// Where it went, canonical.
    pub to: ChatJid,
    /// The try that WhatsApp took, counted from 1.
    pub attempt: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairingCodeRequest {
    /// Digits with the country code.
    pub phone_number: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairingCode {
    /// Eight characters, typed on the phone.
    pub code: String,
    /// How long it is good for, seconds.
    pub expires_in_seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggedOut {
    /// False if no session was there to end.
    pub was_paired: bool,
}

/// The answer to any command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    Ok(T),
    /// Of a send: it is stored, and goes out later.
    Queued(Queued),
    Error(Refusal),
}

/// A send that waits as a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queued {
    pub job_id: JobId,
    pub message_id: String,
    pub to: ChatJid,
    /// Not before, ISO 8601.
    pub until: String,
    pub reason: WaitReason,
}

/// Why a send waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum WaitReason {
    /// The caller said when.
    Scheduled,
    /// More is to be sent than the session's pace allows in a minute.
    Pacing,
    /// As many people have been written to for the first time today as the settings allow.
    NewChatsPerDay,
    /// WhatsApp does not let this account write to people that it has no chat with.
    TimeLock,
    /// WhatsApp does not let this account begin more chats.
    NewChatCap,
    /// The session is not connected, and does not try to be.
    NotConnected,
}

impl WaitReason {
    pub const ALL: [Self; 6] =
        [Self::Scheduled, Self::Pacing, Self::NewChatsPerDay, Self::TimeLock, Self::NewChatCap, Self::NotConnected];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pacing => "pacing",
            Self::NewChatsPerDay => "new_chats_per_day",
            Self::TimeLock => "time_lock",
            Self::NewChatCap => "new_chat_cap",
            Self::NotConnected => "not_connected",
        }
    }
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: RefusalCode,
    /// For the user.
    pub message: String,
    /// WhatsApp's own number, if it refused.
    #[serde(default)]
    pub whatsapp_code: Option<u16>,
}

/// What a caller may branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The request could not be read or says something impossible.
    InvalidRequest,
    /// Never paired, logged out, or at another end.
    NotConnected,
    /// WhatsApp knows no such account.
    NotOnWhatsapp,
    /// There is no such group, or the account is not in it.
    GroupNotFound,
    /// An invitation's code is not one, or is no longer good.
    InviteNotFound,
    /// No call rings under this id.
    CallNotFound,
    /// WhatsApp answered with a nack.
    RefusedByWhatsapp,
    /// All tries ended without an answer.
    TimedOut,
    /// The command does not fit the session's state, for example a pairing code for a paired session.
    Conflict,
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_to_wait_is_called_in_text_as_in_json() {
        for reason in WaitReason::ALL {
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.as_str().into()));
        }
    }
}
