//! Commands to a gateway: a NATS request on [`subject::command`](crate::subject::command), answered once with a
//! [`CommandReply`].

mod answer;
mod call;
mod chat;
mod content;
mod forward;
pub mod group;
pub(crate) mod idempotency;
mod media;
mod passkey;
pub mod people;
mod session;

pub use answer::{CommandError, CommandErrorCode, CommandReply, QueuedSend, WaitReason};
pub use call::{CallRejected, RejectCall};
pub use chat::{
    MarkRead, OwnPresence, SendEdit, SendPoll, SendReaction, SendRevoke, SetPresence, ShowTyping, SubscribePresence,
    TypingState,
};
pub use content::{SendContact, SendLocation};
pub use forward::{ForwardedContent, ForwardedFile, ForwardedMedia, SendForward};
pub use idempotency::{IDEMPOTENCY_BUCKET, IDEMPOTENCY_LASTS, IdempotencyKey, InvalidIdempotencyKey};
pub use media::{FileToSend, MediaKind, SendMedia};
pub use passkey::{AnswerPasskey, PasskeyProgress};
pub use people::{CheckNumber, NumberChecked};
pub use session::{ActiveRestriction, LoggedOut, PairingCode, PairingCodeRequest, SessionInfo};

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Names the commands once: the enum, all of it, what each is called on the wire, and which of them send.
macro_rules! commands {
    (@is_send send) => { true };
    (@is_send) => { false };
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal $($send:ident)?,)+) => {
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

            /// A message to WhatsApp: it has its turn in its chat, is tried several times under one id, and is answered
            /// with [`SentMessage`].
            #[must_use]
            pub fn is_send(self) -> bool {
                match self {
                    $(Self::$name => commands!(@is_send $($send)?),)+
                }
            }
        }
    };
}

commands! {
    /// [`EmptyBody`] → [`SessionInfo`].
    Status = "status",
    /// [`PairingCodeRequest`] → [`PairingCode`].
    PairingCode = "pairing-code",
    /// [`EmptyBody`] → [`PasskeyProgress`]: where a pairing by passkey stands.
    Passkey = "passkey",
    /// [`AnswerPasskey`] → [`PasskeyProgress`]: what the account's passkey signed.
    AnswerPasskey = "answer-passkey",
    /// [`EmptyBody`] → [`PasskeyProgress`]: the phone shows the same code.
    ConfirmPasskey = "confirm-passkey",
    /// [`EmptyBody`] → [`SessionInfo`]: begins anew after an end (a new QR code after a logout) and while nothing is paired.
    Restart = "restart",
    /// [`EmptyBody`] → [`LoggedOut`].
    Logout = "logout",

    /// [`SendText`] → [`SentMessage`].
    SendText = "send-text" send,
    /// [`SendLocation`] → [`SentMessage`].
    SendLocation = "send-location" send,
    /// [`SendContact`] → [`SentMessage`].
    SendContact = "send-contact" send,
    /// [`SendMedia`] → [`SentMessage`].
    SendMedia = "send-media" send,
    /// [`SendPoll`] → [`SentMessage`].
    SendPoll = "send-poll" send,
    /// [`SendReaction`] → [`SentMessage`].
    SendReaction = "send-reaction" send,
    /// [`SendEdit`] → [`SentMessage`].
    SendEdit = "send-edit" send,
    /// [`SendRevoke`] → [`SentMessage`].
    SendRevoke = "send-revoke" send,
    /// [`SendForward`] → [`SentMessage`].
    SendForward = "send-forward" send,

    /// [`Job`](crate::job::SendJob) → [`JobRecord`](crate::job::JobRecord): stored when it is answered.
    SubmitJob = "submit-job",
    /// [`JobReference`](crate::job::JobReference) → [`JobRecord`](crate::job::JobRecord).
    CancelJob = "cancel-job",

    /// [`MarkRead`] → [`EmptyBody`].
    MarkRead = "mark-read",
    /// [`ShowTyping`] → [`EmptyBody`].
    ShowTyping = "show-typing",
    /// [`SetPresence`] → [`EmptyBody`].
    SetPresence = "set-presence",
    /// [`SubscribePresence`] → [`EmptyBody`]: its `presence.updated` come from now on.
    SubscribePresence = "subscribe-presence",

    /// [`CheckNumber`] → [`NumberChecked`].
    CheckNumber = "check-number",
    /// [`people::OfPerson`] → [`people::Contact`].
    Contact = "contact",
    /// [`people::OfPicture`] → [`people::PictureFound`].
    Picture = "picture",
    /// [`people::SetPicture`] → [`people::PictureSet`].
    SetPicture = "set-picture",
    /// [`EmptyBody`] → [`people::Blocklist`].
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
pub struct EmptyBody {}

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
pub struct SentMessage {
    pub message_id: String,
    /// Where it went, canonical.
    pub to: ChatJid,
    /// The try that WhatsApp took, counted from 1.
    pub attempt: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sends_is_called_so_and_nothing_else_is() {
        for command in Command::ALL {
            assert_eq!(command.is_send(), command.as_str().starts_with("send-"), "{command}");
            assert_eq!(command.as_str().parse(), Ok(*command));
        }
    }
}
