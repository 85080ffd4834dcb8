//! Chat states and presence: read marks, typing, who is online. WhatsApp acknowledges none of them.

use super::{CommandServer, whatsapp_request::RequestFailure};
use crate::outbound::addressing;
use kurir_contract::{
    address::ChatJid,
    command::{
        AnswerCommand, CommandError, CommandErrorCode, EmptyBody, MarkRead, OwnPresence, SetPresence, ShowTyping,
        SubscribePresence, TypingState, spec,
    },
};
use wacore_binary::{Jid, JidExt as _};
use whatsapp_rust::features::{ChatStateType, PresenceError};

/// As many as an app shows at once. Each takes a few bytes of one stanza.
const MESSAGES_READ: std::ops::RangeInclusive<usize> = 1..=100;

impl AnswerCommand<spec::MarkRead> for CommandServer {
    async fn answer(&self, request: MarkRead) -> Result<EmptyBody, CommandError> {
        let MarkRead { to, message_ids, participant } = request;
        if !MESSAGES_READ.contains(&message_ids.len()) {
            return Err(CommandError::invalid("messageIds must be a list of 1 to 100 message ids"));
        }
        let chat = parse_jid(&to)?;
        let participant = participant.as_ref().map(parse_jid).transpose()?;
        if chat.is_group() && participant.is_none() {
            return Err(CommandError::invalid("participant is required in a group: who wrote the messages"));
        }
        self.ask_whatsapp(|client| async move {
            let writer = match &participant {
                Some(writer) if chat.is_group() => Some(
                    addressing::participant_address(&client, &chat, writer)
                        .await
                        .map_err(RequestFailure::from_client)?,
                ),
                Some(_) | None => None,
            };
            let ids: Vec<&str> = message_ids.iter().map(String::as_str).collect();
            let chat = addressing::chat_address(&client, &chat).await;
            client.mark_as_read(&chat, writer.as_ref(), &ids).await.map_err(RequestFailure::from_client)?;
            Ok(EmptyBody {})
        })
        .await
    }
}

impl AnswerCommand<spec::ShowTyping> for CommandServer {
    async fn answer(&self, request: ShowTyping) -> Result<EmptyBody, CommandError> {
        let ShowTyping { to, state } = request;
        let chat = parse_jid(&to)?;
        let state = match state {
            TypingState::Composing => ChatStateType::Composing,
            TypingState::Recording => ChatStateType::Recording,
            TypingState::Paused => ChatStateType::Paused,
        };
        self.ask_whatsapp(|client| async move {
            let chat = addressing::chat_address(&client, &chat).await;
            client.chatstate().send(&chat, state).await.map_err(RequestFailure::from_client)?;
            Ok(EmptyBody {})
        })
        .await
    }
}

impl AnswerCommand<spec::SetPresence> for CommandServer {
    async fn answer(&self, request: SetPresence) -> Result<EmptyBody, CommandError> {
        let state = request.state;
        let appearance = &self.session.appearance;
        self.ask_whatsapp(|client| async move {
            // First, because an announcement that is not wanted is taken back as soon as it is made.
            appearance.set_online(state == OwnPresence::Available);
            let set = match state {
                OwnPresence::Available => client.presence().set_available().await,
                OwnPresence::Unavailable => client.presence().set_unavailable().await,
            };
            match set {
                Ok(()) => Ok(EmptyBody {}),
                Err(PresenceError::PushNameEmpty) => {
                    let text =
                        "the account has no name yet, without which WhatsApp shows no presence: set WHATSAPP_PUSH_NAME";
                    Err(CommandError::new(CommandErrorCode::Conflict, text).into())
                }
                Err(error) => Err(RequestFailure::from_client(error)),
            }
        })
        .await
    }
}

impl AnswerCommand<spec::SubscribePresence> for CommandServer {
    async fn answer(&self, request: SubscribePresence) -> Result<EmptyBody, CommandError> {
        let to = request.to;
        if to.is_group() {
            return Err(CommandError::invalid("to must be a person: a group has no presence"));
        }
        let contact = parse_jid(&to)?;
        self.ask_whatsapp(|client| async move {
            let contact = addressing::chat_address(&client, &contact).await;
            client.presence().subscribe(contact).await.map_err(RequestFailure::from_client)?;
            Ok(EmptyBody {})
        })
        .await
    }
}

fn parse_jid(address: &ChatJid) -> Result<Jid, CommandError> {
    address.as_str().parse().map_err(|_| CommandError::invalid("Invalid phone number format"))
}
