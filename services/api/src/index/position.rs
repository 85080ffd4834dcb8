//! How far the index has read a stream. It is written in the transaction of the rows, so no message is read twice or missed.

use rusqlite::{Connection, OptionalExtension as _, Result, params};

/// The last message of a stream that is in the index, and the stream's creation: a new stream begins at 1 again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub created: String,
    pub sequence: u64,
    /// When the stream stored that message, in nanoseconds since 1970; an earlier version did not write it.
    pub stored_at: Option<i64>,
}

pub fn read_position(connection: &Connection, stream: &str) -> Result<Option<Position>> {
    let created: Option<String> = value(connection, &format!("{stream}.created"))?;
    let sequence: Option<String> = value(connection, &format!("{stream}.sequence"))?;
    let sequence = sequence.and_then(|sequence| sequence.parse().ok());
    let stored_at: Option<String> = value(connection, &format!("{stream}.stored_at"))?;
    let stored_at = stored_at.and_then(|stored_at| stored_at.parse().ok());
    Ok(created.zip(sequence).map(|(created, sequence)| Position { created, sequence, stored_at }))
}

pub fn write_position(connection: &Connection, stream: &str, position: &Position) -> Result<()> {
    let values = [
        ("created", position.created.clone()),
        ("sequence", position.sequence.to_string()),
        ("stored_at", position.stored_at.unwrap_or_default().to_string()),
    ];
    for (name, value) in values {
        set_value(connection, &format!("{stream}.{name}"), &value)?;
    }
    Ok(())
}

/// Empties the tables that come from a stream.
pub fn forget_stream(connection: &Connection, stream: &str) -> Result<()> {
    use kurir_contract::stream::{AUDIT, DEAD_LETTERS, DELIVERIES, EVENTS};
    let tables: &[&str] = match stream {
        EVENTS => &["events", "messages", "message_texts", "chats", "contacts"],
        DELIVERIES => &["deliveries", "delivery_minutes"],
        DEAD_LETTERS => &["dead_letters"],
        AUDIT => &["audit"],
        _ => &[],
    };
    for table in tables {
        connection.execute(&format!("DELETE FROM {table}"), [])?;
    }
    connection.execute(
        "DELETE FROM meta WHERE key IN (?1, ?2, ?3)",
        params![format!("{stream}.created"), format!("{stream}.sequence"), format!("{stream}.stored_at")],
    )?;
    Ok(())
}

pub fn value(connection: &Connection, key: &str) -> Result<Option<String>> {
    connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

pub fn set_value(connection: &Connection, key: &str, value: &str) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )?
        .execute([key, value])?;
    Ok(())
}
