//! What is done in a chat beside sending content: polls, messages about other messages, and signs of life.

use super::{IdempotencyKey, idempotency::fingerprint};
use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendPoll {
    pub to: ChatJid,
    /// The question.
    pub name: String,
    /// 2 to 12, no two the same.
    pub options: Vec<String>,
    /// How many options one may choose; 0 is any number.
    pub selectable: u32,
    /// The same key never sends twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendReaction {
    /// The chat that the message is in.
    pub to: ChatJid,
    pub message_id: String,
    /// Empty takes an earlier reaction back.
    pub emoji: String,
    /// Whether this account wrote the message.
    #[serde(default)]
    pub from_me: bool,
    /// Who wrote it, in a group, unless this account did.
    #[serde(default)]
    pub participant: Option<ChatJid>,
    /// The same key never sends twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// A text that this account sent holds another one from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendEdit {
    pub to: ChatJid,
    pub message_id: String,
    /// Trimmed, 1 to 4096 characters.
    pub text: String,
    /// The same key never sends twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// A message is deleted for everyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendRevoke {
    pub to: ChatJid,
    pub message_id: String,
    /// Who wrote it, if an administrator of the group deletes what another wrote.
    #[serde(default)]
    pub participant: Option<ChatJid>,
    /// The same key never sends twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkRead {
    pub to: ChatJid,
    /// 1 to 100 messages, all of one writer.
    pub message_ids: Vec<String>,
    /// Who wrote them, in a group.
    #[serde(default)]
    pub participant: Option<ChatJid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShowTyping {
    pub to: ChatJid,
    pub state: TypingState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypingState {
    Composing,
    /// A voice note is being recorded.
    Recording,
    Paused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetPresence {
    pub state: OwnPresence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnPresence {
    Available,
    Unavailable,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscribePresence {
    /// A person; no group.
    pub to: ChatJid,
}

impl SendPoll {
    /// The same for the same poll in the same chat, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let selectable = self.selectable.to_string();
        let options = self.options.iter().map(String::as_str);
        let parts: Vec<&str> = ["poll", self.to.as_str(), &self.name, &selectable].into_iter().chain(options).collect();
        fingerprint(&parts)
    }
}

impl SendReaction {
    /// The same for the same reaction to the same message, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let participant = self.participant.as_ref().map(ChatJid::as_str).unwrap_or_default();
        let writer = if self.from_me { "me" } else { participant };
        fingerprint(&["reaction", self.to.as_str(), &self.message_id, writer, &self.emoji])
    }
}

impl SendEdit {
    /// The same for the same edit of the same message, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&["edit", self.to.as_str(), &self.message_id, &self.text])
    }
}

impl SendRevoke {
    /// The same for the same deletion, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let participant = self.participant.as_ref().map(ChatJid::as_str).unwrap_or_default();
        fingerprint(&["revoke", self.to.as_str(), &self.message_id, participant])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_messages_about_a_message_have_one_fingerprint() {
        let to: ChatJid = "6281234567890".parse().expect("a recipient");
        let (message_id, text) = ("3EB0".to_owned(), "x".to_owned());
        let edit =
            SendEdit { to: to.clone(), message_id: message_id.clone(), text: text.clone(), idempotency_key: None };
        let reaction = SendReaction {
            to: to.clone(),
            message_id: message_id.clone(),
            emoji: text.clone(),
            from_me: false,
            participant: None,
            idempotency_key: None,
        };
        let own = SendReaction { from_me: true, ..reaction.clone() };
        let revoke = SendRevoke { to: to.clone(), message_id, participant: None, idempotency_key: None };
        let by_admin = SendRevoke { participant: Some(to.clone()), ..revoke.clone() };
        let poll = |options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            SendPoll { to: to.clone(), name: text.clone(), options, selectable: 1, idempotency_key: None }.fingerprint()
        };
        let all = [
            edit.fingerprint(),
            reaction.fingerprint(),
            own.fingerprint(),
            revoke.fingerprint(),
            by_admin.fingerprint(),
            poll(&["a", "b"]),
            poll(&["b", "a"]),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
