//! Signs of life in chats: what was read, who types, who is there. WhatsApp confirms none of them.

use super::{CommandServer, invalid, plain_text, refusal, whatsapp_request::RequestFailure};
use crate::outbound::addressing;
use kurir_contract::{
    address::ChatJid,
    command::{
        CommandError, CommandErrorCode, EmptyBody, MarkRead, OwnPresence, SetPresence, ShowTyping, SubscribePresence,
        TypingState,
    },
};
use time::OffsetDateTime;
use wacore_binary::{Jid, JidExt as _, Node, builder::NodeBuilder};
use whatsapp_rust::{
    Client,
    features::{ChatStateType, PresenceError},
};

/// As many as an app shows at once; each is a few bytes of one stanza.
const MESSAGES_READ: std::ops::RangeInclusive<usize> = 1..=100;

impl CommandServer {
    pub(super) async fn mark_read(&self, request: Result<MarkRead, CommandError>) -> Result<EmptyBody, CommandError> {
        let MarkRead { to, message_ids, participant } = request?;
        if !MESSAGES_READ.contains(&message_ids.len()) {
            return Err(invalid("messageIds must be a list of 1 to 100 message ids".to_owned()));
        }
        let chat = parse_jid(&to)?;
        let participant = participant.as_ref().map(parse_jid).transpose()?;
        if chat.is_group() && participant.is_none() {
            return Err(invalid("participant is required in a group: who wrote the messages".to_owned()));
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

    pub(super) async fn show_typing(
        &self,
        request: Result<ShowTyping, CommandError>,
    ) -> Result<EmptyBody, CommandError> {
        let ShowTyping { to, state } = request?;
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

    pub(super) async fn set_presence(
        &self,
        request: Result<SetPresence, CommandError>,
    ) -> Result<EmptyBody, CommandError> {
        let state = request?.state;
        let appearance = &self.session.appearance;
        self.ask_whatsapp(|client| async move {
            // First: what nobody wants is taken back as soon as it is said.
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
                    Err(refusal(CommandErrorCode::Conflict, text).into())
                }
                Err(error) => Err(RequestFailure::from_client(error)),
            }
        })
        .await
    }

    pub(super) async fn subscribe_presence(
        &self,
        request: Result<SubscribePresence, CommandError>,
    ) -> Result<EmptyBody, CommandError> {
        let to = request?.to;
        if to.is_group() {
            return Err(invalid("to must be a person: a group has no presence".to_owned()));
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

/// What the library would send, whose encoder would change the ids.
fn read_receipt(client: &Client, chat: &Jid, writer: Option<&Jid>, ids: &[&str]) -> Node {
    // Whoever shows nobody what they read tells their own devices alone.
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
    address.as_str().parse().map_err(|_| invalid("Invalid phone number format".to_owned()))
}
