//! Signs of life in chats: what was read, who types, who is there. WhatsApp confirms none of them.

use super::{Commands, internal, invalid, refusal};
use crate::outbound::naming;
use kurir_contract::{
    address::ChatJid,
    command::{Empty, MarkRead, OwnPresence, Refusal, RefusalCode, SetPresence, ShowTyping, SubscribePresence, Typing},
};
use wacore_binary::{Jid, JidExt as _};
use whatsapp_rust::features::{ChatStateType, PresenceError};

/// As many as an app shows at once; each is a few bytes of one stanza.
const MESSAGES_READ: std::ops::RangeInclusive<usize> = 1..=100;

impl Commands {
    pub(super) async fn mark_read(&self, request: Result<MarkRead, Refusal>) -> Result<Empty, Refusal> {
        let MarkRead { to, message_ids, participant } = request?;
        if !MESSAGES_READ.contains(&message_ids.len()) {
            return Err(invalid("messageIds must be a list of 1 to 100 message ids".to_owned()));
        }
        let chat = jid(&to)?;
        let participant = participant.as_ref().map(jid).transpose()?;
        if chat.is_group() && participant.is_none() {
            return Err(invalid("participant is required in a group: who wrote the messages".to_owned()));
        }
        let marked = self.outbound.sender.with_client(|client| async move {
            let writer = match &participant {
                Some(writer) if chat.is_group() => Some(naming::participant(&client, &chat, writer).await?),
                Some(_) | None => None,
            };
            let ids: Vec<&str> = message_ids.iter().map(String::as_str).collect();
            client.mark_as_read(&naming::chat(&client, &chat).await, writer.as_ref(), &ids).await
        });
        marked.await?.map_err(internal)?;
        Ok(Empty {})
    }

    pub(super) async fn show_typing(&self, request: Result<ShowTyping, Refusal>) -> Result<Empty, Refusal> {
        let ShowTyping { to, state } = request?;
        let chat = jid(&to)?;
        let state = match state {
            Typing::Composing => ChatStateType::Composing,
            Typing::Recording => ChatStateType::Recording,
            Typing::Paused => ChatStateType::Paused,
        };
        let shown = self.outbound.sender.with_client(|client| async move {
            let chat = naming::chat(&client, &chat).await;
            client.chatstate().send(&chat, state).await
        });
        shown.await?.map_err(internal)?;
        Ok(Empty {})
    }

    pub(super) async fn set_presence(&self, request: Result<SetPresence, Refusal>) -> Result<Empty, Refusal> {
        let state = request?.state;
        let appearance = &self.session.appearance;
        let set = self.outbound.sender.with_client(|client| async move {
            // First: what nobody wants is taken back as soon as it is said.
            appearance.set(state == OwnPresence::Available);
            match state {
                OwnPresence::Available => client.presence().set_available().await,
                OwnPresence::Unavailable => client.presence().set_unavailable().await,
            }
        });
        match set.await? {
            Ok(()) => Ok(Empty {}),
            Err(PresenceError::PushNameEmpty) => {
                let text =
                    "the account has no name yet, without which WhatsApp shows no presence: set WHATSAPP_PUSH_NAME";
                Err(refusal(RefusalCode::Conflict, text))
            }
            Err(error) => Err(internal(error)),
        }
    }

    pub(super) async fn subscribe_presence(
        &self,
        request: Result<SubscribePresence, Refusal>,
    ) -> Result<Empty, Refusal> {
        let to = request?.to;
        if to.is_group() {
            return Err(invalid("to must be a person: a group has no presence".to_owned()));
        }
        let contact = jid(&to)?;
        let subscribed = self.outbound.sender.with_client(|client| async move {
            let contact = naming::chat(&client, &contact).await;
            client.presence().subscribe(contact).await
        });
        subscribed.await?.map_err(internal)?;
        Ok(Empty {})
    }
}

fn jid(address: &ChatJid) -> Result<Jid, Refusal> {
    address.as_str().parse().map_err(|_| invalid("Invalid phone number format".to_owned()))
}
