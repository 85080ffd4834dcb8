//! The content filter of an endpoint: which chats, which writers.

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Conditions on an event's content; each that is set must hold.
///
/// An event about no chat (`connection.status`, `error.occurred`, …) always passes: only the endpoint's list of event types
/// applies to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContentFilter {
    /// Only these chats, under any of their addresses; empty: all.
    pub chats: Vec<ChatJid>,
    /// Only events that these people caused: they wrote, reacted, read, …; empty: all.
    pub senders: Vec<ChatJid>,
    /// Only private chats, or only groups.
    pub chat_type: Option<ChatType>,
    /// True: only events that this account caused and acknowledgements of its messages. False: only events that others caused.
    pub from_me: Option<bool>,
    /// True: only messages that this account sent through Kurir. False: all but these, so that a receiver that answers does
    /// not hear its own answers, and still hears what is written on the phone.
    pub from_api: Option<bool>,
}

/// A private chat or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ChatType {
    Direct,
    Group,
}

/// The fields of `data` that name the chat: a text, or an object with [`ADDRESSES`].
const CHAT: [&str; 3] = ["from", "to", "chat"];
/// The fields of `data` that name the person who caused the event.
const AUTHOR: [&str; 2] = ["author", "participant"];
/// The addresses of a person or a chat in [`KnownAddresses`](crate::event::KnownAddresses).
const ADDRESSES: [&str; 3] = ["jid", "pn", "lid"];

impl ContentFilter {
    /// Whether no condition is set.
    #[must_use]
    pub fn admits_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an event passes the filter; `event` is the whole envelope.
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
        // It has messages of several writers, so only the chat decides.
        let of_many = kind == "history.sync";
        in_chat
            && (of_many
                || (self.senders.is_empty() || is_one_of(&self.senders, &authors(data, chats)))
                    && self.from_me.is_none_or(|wanted| wanted == is_own(kind, data))
                    && self.from_api.is_none_or(|wanted| wanted == is_from_api(kind, data)))
    }
}

/// Whether this account caused the event. An acknowledgement counts, because it is about a message of this account.
fn is_own(kind: &Value, data: &Value) -> bool {
    kind == "message.ack" || data["fromMe"].as_bool().unwrap_or(kind == "message.sent")
}

/// Whether the message was sent through Kurir, and not on the phone.
fn is_from_api(kind: &Value, data: &Value) -> bool {
    kind == "message.sent" && data["fromDevice"] == Value::Bool(false)
}

/// The people who caused the event. In a private chat no field names them: there it is the chat.
fn authors<'a>(data: &'a Value, chats: Vec<&'a str>) -> Vec<&'a str> {
    let named = addresses(data, &AUTHOR);
    if named.is_empty() { chats } else { named }
}

fn addresses<'a>(data: &'a Value, fields: &[&str]) -> Vec<&'a str> {
    let mut addresses = Vec::new();
    for field in fields {
        let value = &data[*field];
        addresses.extend(value.as_str());
        addresses.extend(ADDRESSES.iter().filter_map(|name| value[*name].as_str()));
    }
    addresses
}

fn is_one_of(wanted: &[ChatJid], named: &[&str]) -> bool {
    wanted.is_empty() || wanted.iter().any(|jid| named.contains(&jid.as_str()))
}

#[cfg(test)]
mod tests;
