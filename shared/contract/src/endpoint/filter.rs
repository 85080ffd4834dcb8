//! Which messages an endpoint wants, by what they hold. Pure.

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Every condition that is set must hold. An event that is about no chat (`connection.status`, `error.occurred`, …) is
/// not a matter of content: the endpoint's list of event types decides on it alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContentFilter {
    /// Only these chats, under whichever of their addresses; empty: all.
    pub chats: Vec<ChatJid>,
    /// Only what these did: wrote, reacted, read, …; empty: all.
    pub senders: Vec<ChatJid>,
    /// Only private chats, or only groups.
    pub chat_type: Option<ChatType>,
    /// Only what this account did and what became of its messages, or only what others did.
    pub from_me: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ChatType {
    Direct,
    Group,
}

/// Where an event's `data` names its chat: as a text, or as a party.
const CHAT: [&str; 3] = ["from", "to", "chat"];
/// Where it names who did it.
const AUTHOR: [&str; 2] = ["author", "participant"];
/// The names of a party: each of them is the same person or chat.
const PARTY: [&str; 3] = ["jid", "pn", "lid"];

impl ContentFilter {
    #[must_use]
    pub fn admits_all(&self) -> bool {
        *self == Self::default()
    }

    /// `event`: a whole envelope.
    #[must_use]
    pub fn admits(&self, event: &Value) -> bool {
        let (kind, data) = (&event["event"], &event["data"]);
        let chats = addresses(data, &CHAT);
        if chats.is_empty() {
            return true;
        }
        let is_group = chats.iter().any(|chat| chat.ends_with("@g.us"));
        let chat_type = if is_group { ChatType::Group } else { ChatType::Direct };
        let in_chat = is_one_of(&self.chats, &chats) && self.chat_type.is_none_or(|wanted| wanted == chat_type);
        // Messages of several writers: the chat alone decides.
        let of_many = kind == "history.sync";
        in_chat
            && (of_many
                || (self.senders.is_empty() || is_one_of(&self.senders, &authors(data, chats)))
                    && self.from_me.is_none_or(|wanted| wanted == is_own(kind, data)))
    }
}

/// Whether it is this account's doing. An acknowledgement is about a message of this account, whoever read it.
fn is_own(kind: &Value, data: &Value) -> bool {
    kind == "message.ack" || data["fromMe"].as_bool().unwrap_or(kind == "message.sent")
}

/// Where nobody is named it is a private chat, and the chat is who wrote.
fn authors<'a>(data: &'a Value, chats: Vec<&'a str>) -> Vec<&'a str> {
    let named = addresses(data, &AUTHOR);
    if named.is_empty() { chats } else { named }
}

fn addresses<'a>(data: &'a Value, fields: &[&str]) -> Vec<&'a str> {
    let mut addresses = Vec::new();
    for field in fields {
        let value = &data[*field];
        addresses.extend(value.as_str());
        addresses.extend(PARTY.iter().filter_map(|name| value[*name].as_str()));
    }
    addresses
}

fn is_one_of(wanted: &[ChatJid], named: &[&str]) -> bool {
    wanted.is_empty() || wanted.iter().any(|jid| named.contains(&jid.as_str()))
}

#[cfg(test)]
mod tests;
