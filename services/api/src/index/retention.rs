//! Removes what is older than `INDEX_RETENTION`, in small steps, so that new events need not wait.

use rusqlite::{Connection, Result, params};

/// Rows that one step removes: some milliseconds.
const STEP: u64 = 2_000;

/// Removes a part of what is older than `before` (milliseconds since 1970); whether there may be more.
pub fn remove_older(connection: &Connection, before: i64) -> Result<bool> {
    let last: Option<u64> = connection
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq FROM events WHERE stored_at < ?1 ORDER BY stored_at LIMIT ?2)",
        )?
        .query_row(params![before, STEP], |row| row.get(0))?;
    let mut removed = 0;
    if let Some(last) = last {
        connection.execute(
            "UPDATE chats SET messages = messages - old.count FROM
             (SELECT session, chat, count(*) AS count FROM messages WHERE seq <= ?1 GROUP BY session, chat) AS old
             WHERE chats.session = old.session AND chats.chat = old.chat",
            [last],
        )?;
        connection
            .execute("DELETE FROM message_texts WHERE rowid IN (SELECT seq FROM messages WHERE seq <= ?1)", [last])?;
        connection.execute("DELETE FROM messages WHERE seq <= ?1", [last])?;
        removed += connection.execute("DELETE FROM events WHERE seq <= ?1", [last])?;
        connection.execute("DELETE FROM chats WHERE last_seq <= ?1", [last])?;
        connection.execute("DELETE FROM contacts WHERE last_seq <= ?1", [last])?;
    }
    removed += connection.execute(
        "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE at < ?1 ORDER BY at LIMIT ?2)",
        params![before, STEP],
    )?;
    connection.execute("DELETE FROM delivery_minutes WHERE minute < ?1", [before])?;
    connection.execute("DELETE FROM dead_letters WHERE at < ?1", [before])?;
    Ok(removed > 0)
}
