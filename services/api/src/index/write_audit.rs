//! Writes entries of the audit log into the index.

use kurir_contract::{audit::AuditEntry, clock};
use rusqlite::{Connection, Result, params};

pub fn write_entry(connection: &Connection, sequence: u64, entry: &AuditEntry) -> Result<()> {
    let at = clock::parse(&entry.at).map_or(0, |at| (at.unix_timestamp_nanos() / 1_000_000) as i64);
    let text = serde_json::to_string(entry).unwrap_or_default();
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO audit (seq, at, actor, action, target, status, entry) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![sequence, at, entry.key_id, entry.action, entry.target, entry.status, text])?;
    Ok(())
}
