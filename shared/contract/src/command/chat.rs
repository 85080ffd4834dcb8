//! Commands in a chat besides sending content: polls, messages that refer to another message, chat states and presence.

use super::{IdempotencyKey, idempotency::fingerprint};
use crate::address::ChatJid;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendPoll {
    pub to: ChatJid,
    /// The question.
    pub name: String,
    /// 2 to 12 different options.
    pub options: Vec<String>,
    /// How many options a person may choose. 0: any number.
    pub selectable: u32,
    /// A send with the same key is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendReaction {
    /// The chat of the message.
    pub to: ChatJid,
    pub message_id: String,
    /// An empty emoji removes an earlier reaction.
    pub emoji: String,
    /// Whether this account sent the message.
    #[serde(default)]
    pub from_me: bool,
    /// The author of the message in a group, unless this account sent it.
    #[serde(default)]
    pub participant: Option<ChatJid>,
    /// A send with the same key is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// Replaces a text that this account sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendEdit {
    pub to: ChatJid,
    pub message_id: String,
    /// Trimmed, 1 to 4096 characters.
    pub text: String,
    /// A send with the same key is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// Deletes a message for everyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendRevoke {
    pub to: ChatJid,
    pub message_id: String,
    /// The author, if an administrator of the group deletes another person's message.
    #[serde(default)]
    pub participant: Option<ChatJid>,
    /// A send with the same key is sent once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkRead {
    pub to: ChatJid,
    /// 1 to 100 messages of one author.
    pub message_ids: Vec<String>,
    /// The author, in a group.
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
    /// A person, not a group.
    pub to: ChatJid,
}

impl SendPoll {
    /// Equal for the same poll in the same chat, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let selectable = self.selectable.to_string();
        let options = self.options.iter().map(String::as_str);
        let parts: Vec<&str> = ["poll", self.to.as_str(), &self.name, &selectable].into_iter().chain(options).collect();
        fingerprint(&parts)
    }
}

impl SendReaction {
    /// Equal for the same reaction to the same message, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let participant = self.participant.as_ref().map(ChatJid::as_str).unwrap_or_default();
        let writer = if self.from_me { "me" } else { participant };
        fingerprint(&["reaction", self.to.as_str(), &self.message_id, writer, &self.emoji])
    }
}

impl SendEdit {
    /// Equal for the same edit of the same message, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&["edit", self.to.as_str(), &self.message_id, &self.text])
    }
}

impl SendRevoke {
    /// Equal for the same deletion, and for no other message.
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
