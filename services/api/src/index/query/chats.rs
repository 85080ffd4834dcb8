//! Chats, the one with the newest message first.

use super::{Filter, Page, PageRequest, VisibleSessions, iso};
use rusqlite::{Connection, Result};
use schemars::JsonSchema;
use serde::Serialize;

/// A chat with its last message.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatView {
    /// The chat's JID.
    pub id: String,
    pub session: String,
    /// The other person's name; null if it is unknown, and for a group.
    pub name: Option<String>,
    pub is_group: bool,
    /// How many of its messages the index has.
    pub messages: u64,
    /// When its last message was written, ISO 8601.
    pub last_at: String,
    /// The last message's text, at most 200 characters; null if it is not kept.
    pub last_text: Option<String>,
    pub last_kind: Option<String>,
    pub last_from_me: Option<bool>,
}

const COLUMNS: &str = "chats.chat, chats.session, chats.name, chats.messages, chats.last_at, messages.text, messages.kind, messages.from_me";
const TABLE: (&str, &str, &str) =
    ("chats LEFT JOIN messages ON messages.seq = chats.last_seq", "chats.last_seq", COLUMNS);

/// Which chats a list shows.
#[derive(Clone, Debug, Default)]
pub struct ChatFilter {
    pub visible: VisibleSessions,
    pub session: Option<String>,
    pub chat: Option<String>,
}

pub fn list_chats(connection: &Connection, wanted: &ChatFilter, page: &PageRequest) -> Result<Page<ChatView>> {
    let mut filter = Filter::default();
    filter.within("chats.session", &wanted.visible);
    filter.and("chats.session = ?", wanted.session.clone());
    filter.and("chats.chat = ?", wanted.chat.clone());
    filter.page(connection, TABLE, page, |row| {
        let id: String = row.get(1)?;
        let text: Option<String> = row.get(6)?;
        Ok(ChatView {
            is_group: id.ends_with("@g.us"),
            id,
            session: row.get(2)?,
            name: row.get(3)?,
            messages: row.get(4)?,
            last_at: iso(row.get(5)?),
            last_text: text.map(|text| text.chars().take(200).collect()),
            last_kind: row.get(7)?,
            last_from_me: row.get(8)?,
        })
    })
}
