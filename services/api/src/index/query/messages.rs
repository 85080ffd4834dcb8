//! The messages of a chat, the newest first.

use super::{Filter, Page, PageRequest, VisibleSessions, iso};
use rusqlite::{Connection, Result, Row};
use schemars::JsonSchema;
use serde::Serialize;

/// A message as a chat shows it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// The id of the message at WhatsApp.
    pub id: String,
    pub event_id: String,
    /// The event's sequence in EVENTS.
    pub sequence: u64,
    pub session: String,
    pub chat: String,
    /// ISO 8601.
    pub at: String,
    pub from_me: bool,
    pub author: Option<String>,
    pub author_name: Option<String>,
    /// `messageType` of the event.
    pub kind: String,
    /// Text, caption or name; null if it is not kept.
    pub text: Option<String>,
    /// The path of the received file.
    pub file: Option<String>,
    /// Of a sent message: `server`, `delivered`, `read` or `played`; null until then.
    pub status: Option<String>,
    pub edited: bool,
    pub revoked: bool,
    /// The last reaction.
    pub reaction: Option<String>,
}

pub const COLUMNS: &str = "message_id, event_id, session, chat, at, from_me, author, author_name, kind, text, file, status, \
                           edited, revoked, reaction";

/// Which messages a list shows.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    pub visible: VisibleSessions,
    pub session: Option<String>,
    pub chat: Option<String>,
}

pub fn list_messages(connection: &Connection, wanted: &MessageFilter, page: &PageRequest) -> Result<Page<MessageView>> {
    let mut filter = Filter::default();
    filter.within("session", &wanted.visible);
    filter.and("session = ?", wanted.session.clone());
    filter.and("chat = ?", wanted.chat.clone());
    filter.page(connection, ("messages", "seq", COLUMNS), page, read_message)
}

/// A row of the key and [`COLUMNS`].
pub fn read_message(row: &Row<'_>) -> Result<MessageView> {
    let file: Option<String> = row.get(11)?;
    Ok(MessageView {
        sequence: row.get(0)?,
        id: row.get(1)?,
        event_id: row.get(2)?,
        session: row.get(3)?,
        chat: row.get(4)?,
        at: iso(row.get(5)?),
        from_me: row.get(6)?,
        author: row.get(7)?,
        author_name: row.get(8)?,
        kind: row.get(9)?,
        text: row.get(10)?,
        file: file.map(|file| format!("/media/{file}")),
        status: row.get(12)?,
        edited: row.get(13)?,
        revoked: row.get(14)?,
        reaction: row.get(15)?,
    })
}
