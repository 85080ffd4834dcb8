//! Which messages an endpoint wants, by what they hold. Pure.

use crate::address::ChatJid;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Every condition that is set must hold. An event that is about no chat (`connection.status`, `error.occurred`, …) is
/// not a matter of content: the endpoint's list of event types decides on it alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContentFilter {
    /// Only these chats; empty: all.
    pub chats: Vec<ChatJid>,
    /// Only what these wrote; empty: all.
    pub senders: Vec<ChatJid>,
    /// Only private chats, or only groups.
    pub chat_type: Option<ChatType>,
    /// Only own messages, or only those of others.
    pub from_me: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatType {
    Direct,
    Group,
}

/// Where an event's `data` names its chat: by number, and by LID where both are known.
const CHAT: [&str; 4] = ["from", "to", "chat", "chatLid"];
/// Where it names who wrote, most exact first.
const SENDER: [&str; 3] = ["participant", "participantLid", "author"];

impl ContentFilter {
    #[must_use]
    pub fn admits_all(&self) -> bool {
        *self == Self::default()
    }

    /// `event`: a whole envelope.
    #[must_use]
    pub fn admits(&self, event: &Value) -> bool {
        let data = &event["data"];
        let chats: Vec<&str> = CHAT.iter().filter_map(|name| data[*name].as_str()).collect();
        if chats.is_empty() {
            return true;
        }
        let from_me = data["fromMe"].as_bool().unwrap_or(event["event"] == "message.sent");
        let is_group = chats.iter().any(|chat| chat.ends_with("@g.us"));
        let chat_type = if is_group { ChatType::Group } else { ChatType::Direct };
        is_one_of(&self.chats, &chats)
            && (self.senders.is_empty() || is_one_of(&self.senders, &senders(data, &chats)))
            && self.chat_type.is_none_or(|wanted| wanted == chat_type)
            && self.from_me.is_none_or(|wanted| wanted == from_me)
    }
}

/// In a private chat the chat is who wrote.
fn senders<'a>(data: &'a Value, chats: &[&'a str]) -> Vec<&'a str> {
    let named: Vec<&str> = SENDER.iter().filter_map(|name| data[*name].as_str()).collect();
    if named.is_empty() { chats.to_vec() } else { named }
}

fn is_one_of(wanted: &[ChatJid], named: &[&str]) -> bool {
    wanted.is_empty() || wanted.iter().any(|jid| named.contains(&jid.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ADA: &str = "491700000001@s.whatsapp.net";
    const GROUP: &str = "120363000000000001@g.us";

    #[test]
    fn each_condition_holds_for_what_it_names_and_for_nothing_else() {
        let direct = json!({"event": "message.received", "data": {"from": ADA, "participant": null}});
        let group = json!({"event": "message.received", "data": {"from": GROUP, "participant": ADA}});
        let sent = json!({"event": "message.sent", "data": {"to": ADA}});
        let status = json!({"event": "connection.status", "data": {"isConnected": true}});
        let jids = |jid: &str| vec![ChatJid::from_whatsapp(jid)];
        let none = ContentFilter::default;
        for (filter, admitted) in [
            (none(), [true, true, true]),
            (ContentFilter { chats: jids(ADA), ..none() }, [true, false, true]),
            (ContentFilter { chats: jids(GROUP), ..none() }, [false, true, false]),
            (ContentFilter { senders: jids(ADA), ..none() }, [true, true, true]),
            (ContentFilter { senders: jids(GROUP), ..none() }, [false, false, false]),
            (ContentFilter { chat_type: Some(ChatType::Direct), ..none() }, [true, false, true]),
            (ContentFilter { chat_type: Some(ChatType::Group), ..none() }, [false, true, false]),
            (ContentFilter { from_me: Some(true), ..none() }, [false, false, true]),
            (ContentFilter { from_me: Some(false), ..none() }, [true, true, false]),
            (ContentFilter { chats: jids(ADA), from_me: Some(false), ..none() }, [true, false, false]),
        ] {
            for (event, admitted) in [&direct, &group, &sent].into_iter().zip(admitted) {
                assert_eq!(filter.admits(event), admitted, "{filter:?} {event}");
            }
            assert!(filter.admits(&status), "{filter:?}");
            assert!(filter.admits(&json!("no envelope")), "{filter:?}");
        }
    }
}
