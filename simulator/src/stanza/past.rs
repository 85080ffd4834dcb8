//! What an account's phone keeps of its chats: what it received, and what was sent from it and from its companions.
//! Leaves telling companions of it to `history`.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::{Message as _, MessageField};
use schemars::JsonSchema;
use serde::Deserialize;
use wacore_binary::Jid;
use waproto::whatsapp::{Conversation, HistorySyncMsg, Message, MessageKey, WebMessageInfo};

use super::message_kind;
use crate::{groups, people::ReceivedMessage, phone_number::PhoneNumber, sent_log::SentPlaintext, state::ServerState};

/// A message of the past, as a test tells it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PastMessage {
    pub id: String,
    pub text: Option<String>,
    /// Any other message, as protobuf.
    pub base64: Option<String>,
    #[serde(default)]
    pub from_me: bool,
    /// Unix seconds.
    #[serde(default)]
    pub timestamp: u64,
}

impl PastMessage {
    /// As phones keep it. The error completes "the past message is refused: ".
    pub fn in_chat(&self, chat: &str) -> Result<WebMessageInfo, String> {
        let message = match (&self.text, &self.base64) {
            (Some(text), None) => Message { conversation: Some(text.clone()), ..Default::default() },
            (None, Some(base64)) => {
                let bytes =
                    BASE64_STANDARD.decode(base64).map_err(|error| format!("`base64` is not base64: {error}"))?;
                Message::decode_from_slice(&bytes).map_err(|error| format!("`base64` is no message: {error}"))?
            }
            _ => return Err(format!("message {:?} has one of `text` and `base64`", self.id)),
        };
        Ok(kept(chat, &self.id, self.from_me, None, self.timestamp, message))
    }
}

/// One message of a chat, in the form in which phones keep and hand it out.
pub(super) fn kept(
    chat: &str,
    id: &str,
    from_me: bool,
    participant: Option<Jid>,
    timestamp: u64,
    message: Message,
) -> WebMessageInfo {
    let key = MessageKey {
        id: Some(id.to_owned()),
        from_me: Some(from_me),
        remote_jid: Some(chat.to_owned()),
        participant: participant.map(|participant| participant.to_string()),
    };
    WebMessageInfo {
        key: MessageField::some(key),
        message: MessageField::some(message),
        message_timestamp: Some(timestamp),
        ..Default::default()
    }
}

impl ServerState {
    /// The account's chats by address, each with its messages, the oldest first.
    pub(super) fn past_of(&self, number: &PhoneNumber) -> BTreeMap<String, Vec<WebMessageInfo>> {
        let mut chats: BTreeMap<String, Vec<WebMessageInfo>> = BTreeMap::new();
        let received = self.people.get(number).into_iter().flat_map(|person| person.inbox.messages());
        let sent = self.sent.of(number).filter_map(|(id, sent)| own_message(number, id, sent));
        for (chat, message) in received.filter_map(|message| self.received_message(number, message)).chain(sent) {
            chats.entry(chat).or_default().push(message);
        }
        for messages in chats.values_mut() {
            messages.sort_by_key(|message| message.message_timestamp);
        }
        chats
    }

    fn received_message(&self, number: &PhoneNumber, received: &ReceivedMessage) -> Option<(String, WebMessageInfo)> {
        let is_own = received.from == *number;
        let chat = match (&received.group, &received.sent_to) {
            (Some(group), _) if group == groups::STATUS => return None,
            (Some(group), _) => group.clone(),
            (None, Some(to)) => self.people.number_of(&to.parse().ok()?)?.jid(0).to_string(),
            (None, None) => received.from.jid(0).to_string(),
        };
        let message = Message::decode_from_slice(&BASE64_STANDARD.decode(&received.raw).ok()?).ok()?;
        let participant = (received.group.is_some() && !is_own).then(|| received.from.lid_jid(0));
        let at = u64::try_from(received.timestamp).unwrap_or_default();
        shows(&message).then(|| (chat.clone(), kept(&chat, &received.id, is_own, participant, at, message)))
    }
}

fn own_message(number: &PhoneNumber, id: &str, sent: &SentPlaintext) -> Option<(String, WebMessageInfo)> {
    let chat = match (&sent.group, &sent.to) {
        (Some(group), _) => group.clone(),
        (None, Some(to)) if to != number => to.jid(0).to_string(),
        _ => return None,
    };
    let message = Message::decode_from_slice(&sent.plaintext).ok()?;
    let at = u64::try_from(sent.timestamp).unwrap_or_default();
    shows(&message).then(|| (chat.clone(), kept(&chat, id, true, None, at, message)))
}

/// Changes of earlier messages are no messages of a chat.
fn shows(message: &Message) -> bool {
    let kind = message_kind::kind(message);
    !kind.hides_failure && !matches!(kind.name, "revoke" | "protocol")
}

/// One chat of the past.
pub(super) fn conversation(chat: &str, messages: Vec<WebMessageInfo>) -> Conversation {
    let newest = messages.last().and_then(|message| message.message_timestamp);
    let messages = messages
        .into_iter()
        .map(|message| HistorySyncMsg { message: MessageField::some(message), ..Default::default() });
    Conversation {
        id: chat.to_owned(),
        messages: messages.collect(),
        conversation_timestamp: newest,
        ..Default::default()
    }
}
