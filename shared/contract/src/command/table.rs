//! The table of commands: one row for each, from which the API's calls and the gateway's dispatch are made.
//!
//! A row names the command, its name on the wire, its request, its answer and its [`CommandKind`]. A row without code that
//! handles it does not compile: [`answer_command`] asks for an [`AnswerCommand`] of every row in `requests`, and
//! [`build_send`] for a `TryFrom` of every request in `sends`.

use super::{
    AdoptKeys, AnswerPasskey, CallRejected, CheckNumber, CommandError, CommandErrorCode, CommandReply, EmptyBody,
    KeysAdopted, LoggedOut, MarkRead, NumberChecked, PairingCode, PairingCodeRequest, PasskeyProgress, QueuedSend,
    RejectCall, SendContact, SendEdit, SendForward, SendLocation, SendMedia, SendPoll, SendReaction, SendRevoke,
    SendText, SentMessage, SessionInfo, SetPresence, ShowTyping, SubscribePresence,
    group::{
        ChangeGroup, ChangeParticipants, CreateGroup, GroupCreated, GroupDetails, GroupJoined, GroupLeft, GroupPage,
        GroupRequest, InviteLink, JoinGroup, ListGroups, ParticipantResults,
    },
    people::{
        BlockedContact, BlockedContacts, ContactDetails, PersonRequest, PictureLookup, PictureRequest, PictureUpdate,
        SetPicture,
    },
};
use crate::job::{JobRecord, JobReference, SendJob};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, str::FromStr, time::Duration};

/// What a command does, which decides how long its caller waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// The gateway answers from memory.
    Status,
    /// The gateway asks WhatsApp one question.
    Query,
    /// The gateway derives a key over 131,072 rounds and asks WhatsApp.
    Pairing,
    /// The gateway closes the connection to WhatsApp, and a restart opens another one.
    SessionChange,
    /// The gateway reads a sealed file of keys, as many as an account has people and groups.
    KeyTransfer,
    /// The gateway stores a job in NATS or cancels it.
    Job,
    /// The gateway sends a message: in the order of its chat, several times under one id if it has to.
    Send,
    /// As `Send`, and the gateway uploads a file first.
    SendFile,
}

impl CommandKind {
    /// How long a caller waits for the answer.
    #[must_use]
    pub fn deadline(self) -> Duration {
        Duration::from_secs(match self {
            // A gateway that does not answer from memory within this time hangs.
            Self::Status => 3,
            // The gateway gives WhatsApp 30 s for one try; the rest is a margin.
            Self::Query => 35,
            Self::Pairing => 40,
            Self::SessionChange => 20,
            // 100,000 files, and then the connection is closed.
            Self::KeyTransfer => 120,
            // A few requests to NATS, 4 s each at most.
            Self::Job => 20,
            // A message waits for its turn 60 s at most, and has three tries of 30 s with 2 s and 4 s between: 156 s, and
            // a margin.
            Self::Send => 170,
            // Each try has 60 s, and the queue of files takes some time.
            Self::SendFile => 300,
        })
    }
}

/// The types of one command. [`spec`] has a type for each command that implements it.
pub trait CommandSpec: Copy + Send + Sync + 'static {
    const COMMAND: Command;
    type Request: Serialize + DeserializeOwned + Send + Sync + 'static;
    type Answer: Serialize + DeserializeOwned + Send + Sync + 'static;
}

/// Handles one command of the table's `requests`.
pub trait AnswerCommand<C: CommandSpec> {
    /// # Errors
    /// If the command is not done.
    fn answer(&self, request: C::Request) -> impl Future<Output = Result<C::Answer, CommandError>> + Send;
}

/// A [`CommandReply`] as it goes over the wire.
#[derive(Debug)]
pub struct EncodedReply {
    pub body: Vec<u8>,
    /// The code, if the reply is an error.
    pub error: Option<CommandErrorCode>,
}

impl EncodedReply {
    #[must_use]
    pub fn new<T: Serialize>(answer: Result<T, CommandError>) -> Self {
        let error = answer.as_ref().err().map(|error| error.code);
        Self::encode(&answer.map_or_else(CommandReply::Error, CommandReply::Ok), error)
    }

    /// The reply to a send that is stored and goes out later.
    #[must_use]
    pub fn queued(queued: QueuedSend) -> Self {
        Self::encode(&CommandReply::<SentMessage>::Queued(queued), None)
    }

    fn encode<T: Serialize>(reply: &CommandReply<T>, error: Option<CommandErrorCode>) -> Self {
        match serde_json::to_vec(reply) {
            Ok(body) => Self { body, error },
            Err(unwritable) => {
                let error = CommandError::new(CommandErrorCode::Internal, unwritable.to_string());
                let body = serde_json::to_vec(&CommandReply::<EmptyBody>::Error(error)).unwrap_or_default();
                Self { body, error: Some(CommandErrorCode::Internal) }
            }
        }
    }
}

fn parse_request<T: DeserializeOwned>(request: &[u8]) -> Result<T, CommandError> {
    let unreadable = |error| CommandError::invalid(format!("the request cannot be read: {error}"));
    serde_json::from_slice(request).map_err(unreadable)
}

macro_rules! commands {
    (
        requests { $($(#[doc = $doc:literal])* $name:ident = $text:literal: $request:ty => $answer:ty, $kind:ident;)+ }
        sends { $($send:ident = $send_text:literal: $send_request:ty, $send_kind:ident;)+ }
    ) => {
        /// What a gateway can be asked to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command {
            $($(#[doc = $doc])* $name,)+
            $($send,)+
        }

        impl Command {
            pub const ALL: &[Self] = &[$(Self::$name,)+ $(Self::$send,)+];

            /// The name in the command's subject.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    $(Self::$send => $send_text,)+
                }
            }

            #[must_use]
            pub fn kind(self) -> CommandKind {
                match self {
                    $(Self::$name => CommandKind::$kind,)+
                    $(Self::$send => CommandKind::$send_kind,)+
                }
            }

            /// Whether the command sends a message to WhatsApp and is answered with [`SentMessage`].
            #[must_use]
            pub fn is_send(self) -> bool {
                match self {
                    $(Self::$name => false,)+
                    $(Self::$send => true,)+
                }
            }
        }

        /// A type for each command, which stands for its request and its answer: `client.ask(spec::Status, …)`.
        pub mod spec {
            $(#[derive(Clone, Copy, Debug)] pub struct $name;)+
            $(#[derive(Clone, Copy, Debug, Default)] pub struct $send;)+
        }

        $(impl CommandSpec for spec::$name {
            const COMMAND: Command = Command::$name;
            type Request = $request;
            type Answer = $answer;
        })+
        $(impl CommandSpec for spec::$send {
            const COMMAND: Command = Command::$send;
            type Request = $send_request;
            type Answer = SentMessage;
        })+

        /// Reads the request of a command, lets `handler` answer it and encodes the reply. None for a command that sends.
        pub async fn answer_command<H>(handler: &H, command: Command, request: &[u8]) -> Option<EncodedReply>
        where
            $(H: AnswerCommand<spec::$name>,)+
        {
            Some(match command {
                $(Command::$name => EncodedReply::new(match parse_request(request) {
                    Ok(request) => AnswerCommand::<spec::$name>::answer(handler, request).await,
                    Err(error) => Err(error),
                }),)+
                $(Command::$send)|+ => return None,
            })
        }

        /// Reads the request of a command that sends and makes its message.
        ///
        /// # Errors
        /// If the request cannot be read or says something impossible, or if the command sends nothing.
        pub fn build_send<M>(command: Command, request: &[u8]) -> Result<M, CommandError>
        where
            $(M: TryFrom<$send_request, Error = CommandError>,)+
        {
            match command {
                $(Command::$send => parse_request::<$send_request>(request)?.try_into(),)+
                $(Command::$name)|+ => {
                    Err(CommandError::invalid("this command sends nothing"))
                }
            }
        }
    };
}

commands! {
    requests {
        Status = "status": EmptyBody => SessionInfo, Status;
        PairingCode = "pairing-code": PairingCodeRequest => PairingCode, Pairing;
        /// How far a pairing by passkey is.
        Passkey = "passkey": EmptyBody => PasskeyProgress, Status;
        /// Gives WhatsApp what the account's passkey signed.
        AnswerPasskey = "answer-passkey": AnswerPasskey => PasskeyProgress, Query;
        /// Confirms that the phone shows the same code.
        ConfirmPasskey = "confirm-passkey": EmptyBody => PasskeyProgress, Query;
        /// Connects again after an end (with a new QR code after a logout) and while nothing is paired.
        Restart = "restart": EmptyBody => SessionInfo, SessionChange;
        Logout = "logout": EmptyBody => LoggedOut, SessionChange;
        /// Gives a session that is not paired keys that were made elsewhere.
        AdoptKeys = "adopt-keys": AdoptKeys => KeysAdopted, KeyTransfer;

        /// The job is stored when the command is answered.
        SubmitJob = "submit-job": SendJob => JobRecord, Job;
        CancelJob = "cancel-job": JobReference => JobRecord, Job;

        MarkRead = "mark-read": MarkRead => EmptyBody, Query;
        ShowTyping = "show-typing": ShowTyping => EmptyBody, Query;
        SetPresence = "set-presence": SetPresence => EmptyBody, Query;
        /// From now on the person's `presence.updated` events come.
        SubscribePresence = "subscribe-presence": SubscribePresence => EmptyBody, Query;

        CheckNumber = "check-number": CheckNumber => NumberChecked, Query;
        Contact = "contact": PersonRequest => ContactDetails, Query;
        Picture = "picture": PictureRequest => PictureLookup, Query;
        SetPicture = "set-picture": SetPicture => PictureUpdate, Query;
        Blocklist = "blocklist": EmptyBody => BlockedContacts, Query;
        Block = "block": PersonRequest => BlockedContact, Query;
        Unblock = "unblock": PersonRequest => BlockedContact, Query;

        ListGroups = "list-groups": ListGroups => GroupPage, Query;
        Group = "group": GroupRequest => GroupDetails, Query;
        CreateGroup = "create-group": CreateGroup => GroupCreated, Query;
        ChangeGroup = "change-group": ChangeGroup => GroupDetails, Query;
        AddParticipants = "add-participants": ChangeParticipants => ParticipantResults, Query;
        RemoveParticipants = "remove-participants": ChangeParticipants => ParticipantResults, Query;
        /// Makes members administrators.
        PromoteParticipants = "promote-participants": ChangeParticipants => ParticipantResults, Query;
        /// Makes administrators members.
        DemoteParticipants = "demote-participants": ChangeParticipants => ParticipantResults, Query;
        GroupInvite = "group-invite": GroupRequest => InviteLink, Query;
        /// Makes a new link; the old one no longer works.
        RevokeGroupInvite = "revoke-group-invite": GroupRequest => InviteLink, Query;
        JoinGroup = "join-group": JoinGroup => GroupJoined, Query;
        LeaveGroup = "leave-group": GroupRequest => GroupLeft, Query;

        RejectCall = "reject-call": RejectCall => CallRejected, Query;
    }
    sends {
        SendText = "send-text": SendText, Send;
        SendLocation = "send-location": SendLocation, Send;
        SendContact = "send-contact": SendContact, Send;
        SendMedia = "send-media": SendMedia, SendFile;
        SendPoll = "send-poll": SendPoll, Send;
        SendReaction = "send-reaction": SendReaction, Send;
        SendEdit = "send-edit": SendEdit, Send;
        SendRevoke = "send-revoke": SendRevoke, Send;
        // A forwarded message may hold a file.
        SendForward = "send-forward": SendForward, SendFile;
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for a name that no command has.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_sends_is_called_so_and_no_other_is() {
        for command in Command::ALL {
            assert_eq!(command.is_send(), command.as_str().starts_with("send-"), "{command}");
            assert_eq!(command.as_str().parse(), Ok(*command));
            let sends = matches!(command.kind(), CommandKind::Send | CommandKind::SendFile);
            assert_eq!(command.is_send(), sends, "{command}");
        }
    }

    #[test]
    fn each_kind_of_command_has_its_deadline() {
        let seconds = |command: Command| command.kind().deadline().as_secs();
        for (command, expected) in [
            (Command::Status, 3),
            (Command::Passkey, 3),
            (Command::PairingCode, 40),
            (Command::Restart, 20),
            (Command::Logout, 20),
            (Command::AdoptKeys, 120),
            (Command::SubmitJob, 20),
            (Command::SendText, 170),
            (Command::SendMedia, 300),
            (Command::SendForward, 300),
            (Command::ListGroups, 35),
        ] {
            assert_eq!(seconds(command), expected, "{command}");
        }
    }

    struct MessageOfText(String);

    macro_rules! refuse {
        ($($request:ty)+) => {
            $(impl TryFrom<$request> for MessageOfText {
                type Error = CommandError;

                fn try_from(_: $request) -> Result<Self, CommandError> {
                    Err(CommandError::new(CommandErrorCode::Internal, "not a text"))
                }
            })+
        };
    }

    refuse!(SendLocation SendContact SendMedia SendPoll SendReaction SendEdit SendRevoke SendForward);

    impl TryFrom<SendText> for MessageOfText {
        type Error = CommandError;

        fn try_from(request: SendText) -> Result<Self, CommandError> {
            Ok(Self(request.text))
        }
    }

    #[test]
    fn a_send_is_built_from_the_request_of_its_row() {
        let build = |command, body: &str| build_send::<MessageOfText>(command, body.as_bytes());
        let text = r#"{"to":"6281230000001@s.whatsapp.net","text":"hello"}"#;
        assert_eq!(build(Command::SendText, text).map(|message| message.0), Ok("hello".to_owned()));
        for (command, body) in [(Command::SendText, "{"), (Command::Status, "{}")] {
            let code = build(command, body).err().map(|error| error.code);
            assert_eq!(code, Some(CommandErrorCode::InvalidRequest), "{command}");
        }
    }
}
