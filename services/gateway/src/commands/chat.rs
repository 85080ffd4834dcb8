//! Chat states and presence: read marks, typing, who is online. WhatsApp acknowledges none of them.

use super::{CommandServer, whatsapp_request::RequestFailure};
use crate::{outbound::addressing, plain_text};
use kurir_contract::{
    address::ChatJid,
    command::{
        AnswerCommand, CommandError, CommandErrorCode, EmptyBody, MarkRead, OwnPresence, SetPresence, ShowTyping,
        SubscribePresence, TypingState, spec,
    },
};
use time::OffsetDateTime;
use wacore_binary::{Jid, JidExt as _, Node, builder::NodeBuilder};
use whatsapp_rust::{
    Client,
    features::{ChatStateType, PresenceError},
};

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
            if ids.iter().any(|id| plain_text::looks_like_address(id)) {
                let receipt = read_receipt(&client, &chat, writer.as_ref(), &ids);
                plain_text::send(&client, &receipt).await.map_err(RequestFailure::from_client)?;
            } else {
                client.mark_as_read(&chat, writer.as_ref(), &ids).await.map_err(RequestFailure::from_client)?;
            }
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

/// Builds the stanza that the library would send. The library's encoder would change the ids.
fn read_receipt(client: &Client, chat: &Jid, writer: Option<&Jid>, ids: &[&str]) -> Node {
    // An account that hides what it reads reports it to its own devices only.
    let is_silent = !chat.is_group() && client.persistence_manager().get_device_snapshot().read_receipts_disabled;
    let (first, others) = ids.split_first().unwrap_or((&"", &[]));
    let mut receipt = NodeBuilder::new("receipt")
        .attr("to", chat)
        .attr("type", if is_silent { "read-self" } else { "read" })
        .attr("id", *first)
        .attr("t", OffsetDateTime::now_utc().unix_timestamp().to_string());
    if let Some(writer) = writer {
        receipt = receipt.attr("participant", writer);
    }
    if !others.is_empty() {
        let items: Vec<Node> = others.iter().map(|id| NodeBuilder::new("item").attr("id", *id).build()).collect();
        receipt = receipt.children([NodeBuilder::new("list").children(items).build()]);
    }
    receipt.build()
}

fn parse_jid(address: &ChatJid) -> Result<Jid, CommandError> {
    address.as_str().parse().map_err(|_| CommandError::invalid("Invalid phone number format"))
}
