//! Writes events into the index: the event itself, and what it changes of messages, chats and contacts.

use super::{
    erasure::Erasures,
    event_facts::{EventFacts, MessageChange, Person},
};
use rusqlite::{Connection, Result, params};

/// What is kept of a message's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRule {
    Keep,
    Omit,
}

/// Writes a batch. An event that is in the index already stays as it is.
pub fn write_events(connection: &Connection, events: &[EventFacts], rule: TextRule, erased: &Erasures) -> Result<()> {
    for event in events {
        write_event(connection, event, rule, erased)?;
    }
    Ok(())
}

fn write_event(connection: &Connection, event: &EventFacts, rule: TextRule, erased: &Erasures) -> Result<()> {
    let is_erased = erased.covers(event);
    let (chat, author) =
        if is_erased { (None, None) } else { (event.chat.as_deref(), event.author.as_ref().map(|a| a.jid.as_str())) };
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO events (seq, id, type, session, stored_at, at, chat, author, message_id, from_me, detail, reference)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            event.sequence,
            event.id,
            event.event_type,
            event.session,
            event.stored_at,
            event.at,
            chat,
            author,
            event.message_id,
            event.from_me,
            event.detail,
            event.reference,
        ])?;
    if inserted == 0 {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE deliveries SET session = ?2, chat = ?3 WHERE event_seq = ?1 AND session IS NULL")?
        .execute(params![event.sequence, event.session, chat])?;
    if is_erased {
        return Ok(());
    }
    if let Some(author) = event.author.as_ref().filter(|_| !event.from_me) {
        write_contact(connection, event, author)?;
    }
    change_message(connection, event, rule)
}

fn change_message(connection: &Connection, event: &EventFacts, rule: TextRule) -> Result<()> {
    let (Some(chat), Some(message_id)) = (event.chat.as_deref(), event.message_id.as_deref()) else { return Ok(()) };
    let text_of = |text: &str| (rule == TextRule::Keep).then(|| text.to_owned());
    match &event.change {
        MessageChange::None => Ok(()),
        MessageChange::Written { kind, text, file } => {
            let text = text_of(text);
            let author = event.author.as_ref();
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO messages (seq, event_id, session, chat, message_id, at, from_me, author, author_name, kind, text, file)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                )?
                .execute(params![
                    event.sequence,
                    event.id,
                    event.session,
                    chat,
                    message_id,
                    event.at,
                    event.from_me,
                    author.map(|author| &author.jid),
                    author.and_then(|author| author.name.as_ref()),
                    kind,
                    text,
                    file,
                ])?;
            write_text(connection, event.sequence, text.as_deref())?;
            write_chat(connection, event, chat)
        }
        MessageChange::File(file) => update_message(connection, message_id, event, "file = ?3", Some(file)),
        MessageChange::Status(status) => update_message(
            connection,
            message_id,
            event,
            // A receipt may come late: a message that was read is not merely delivered any more.
            "status = CASE WHEN status IN ('read', 'played') AND ?3 IN ('server', 'delivered') OR status = 'delivered' AND ?3 = 'server'
             OR status = 'played' THEN status ELSE ?3 END",
            Some(status),
        ),
        MessageChange::Reaction(emoji) => update_message(
            connection,
            message_id,
            event,
            "reaction = ?3",
            Some(emoji.as_str()).filter(|emoji| !emoji.is_empty()),
        ),
        MessageChange::Edited(text) => {
            let text = text_of(text);
            for row in message_rows(connection, message_id, event)? {
                write_text(connection, row, text.as_deref())?;
            }
            update_message(connection, message_id, event, "edited = 1, text = ?3", text.as_deref())
        }
        MessageChange::Revoked => {
            for row in message_rows(connection, message_id, event)? {
                write_text(connection, row, None)?;
            }
            update_message(connection, message_id, event, "revoked = 1, text = ?3, file = NULL", None)
        }
    }
}

fn update_message(
    connection: &Connection,
    message_id: &str,
    event: &EventFacts,
    change: &str,
    value: Option<&str>,
) -> Result<()> {
    connection
        .prepare_cached(&format!("UPDATE messages SET {change} WHERE message_id = ?1 AND session = ?2"))?
        .execute(params![message_id, event.session, value])?;
    Ok(())
}

fn message_rows(connection: &Connection, message_id: &str, event: &EventFacts) -> Result<Vec<u64>> {
    connection
        .prepare_cached("SELECT seq FROM messages WHERE message_id = ?1 AND session = ?2")?
        .query_map(params![message_id, event.session], |row| row.get(0))?
        .collect()
}

fn write_text(connection: &Connection, row: u64, text: Option<&str>) -> Result<()> {
    connection.prepare_cached("DELETE FROM message_texts WHERE rowid = ?1")?.execute([row])?;
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        connection
            .prepare_cached("INSERT INTO message_texts (rowid, text) VALUES (?1, ?2)")?
            .execute(params![row, text])?;
    }
    Ok(())
}

fn write_chat(connection: &Connection, event: &EventFacts, chat: &str) -> Result<()> {
    // In a private chat its name is that of the other person; a group's comes with `group.updated`.
    let name = event.author.as_ref().filter(|author| !event.from_me && author.jid == chat);
    connection
        .prepare_cached(
            "INSERT INTO chats (session, chat, name, messages, last_seq, last_at) VALUES (?1, ?2, ?3, 1, ?4, ?5)
             ON CONFLICT (session, chat) DO UPDATE SET messages = messages + 1, name = coalesce(excluded.name, name),
             last_seq = max(last_seq, excluded.last_seq), last_at = max(last_at, excluded.last_at)",
        )?
        .execute(params![
            event.session,
            chat,
            name.and_then(|author| author.name.as_ref()),
            event.sequence,
            event.at
        ])?;
    Ok(())
}

fn write_contact(connection: &Connection, event: &EventFacts, person: &Person) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO contacts (session, jid, lid, name, last_seq, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (session, jid) DO UPDATE SET lid = coalesce(excluded.lid, lid), name = coalesce(excluded.name, name),
             last_seq = max(last_seq, excluded.last_seq), last_at = max(last_at, excluded.last_at)",
        )?
        .execute(params![event.session, person.jid, person.lid, person.name, event.sequence, event.at])?;
    Ok(())
}
