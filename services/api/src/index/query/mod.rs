//! Queries of the index, one file for each list, and what their rows look like in an answer.
//!
//! Every list is read by its own key, so a page costs the same wherever it is; `next` names the row before the next page.

pub mod audit;
pub mod chats;
pub mod contacts;
pub mod deliveries;
pub mod events;
pub mod messages;
pub mod search;
pub mod statistics;

use kurir_contract::{clock, session::SessionId};
use rusqlite::{Connection, Result, Row, params_from_iter, types::Value};
use time::OffsetDateTime;

/// A part of a list: rows before a key, the newest first.
#[derive(Clone, Debug)]
pub struct PageRequest {
    pub limit: usize,
    /// The key of the last row of the page before.
    pub before: Option<i64>,
}

/// Rows of a list, and where the next page begins.
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

/// Sessions that a caller may see; none: all.
pub type VisibleSessions = Option<Vec<SessionId>>;

/// The conditions of a query with their values.
#[derive(Default)]
pub struct Filter {
    clauses: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    /// Adds a condition; `?` stands for the value. Nothing is added for a value that is none.
    pub fn and<V: Into<Value>>(&mut self, clause: &str, value: Option<V>) {
        if let Some(value) = value {
            self.clauses.push(clause.to_owned());
            self.values.push(value.into());
        }
    }

    /// Adds a condition without a value.
    pub fn require(&mut self, clause: &str) {
        self.clauses.push(clause.to_owned());
    }

    /// Adds the sessions that the caller may see.
    pub fn within(&mut self, column: &str, sessions: &VisibleSessions) {
        if let Some(sessions) = sessions {
            let marks = vec!["?"; sessions.len()].join(", ");
            self.clauses.push(format!("{column} IN ({marks})"));
            self.values.extend(sessions.iter().map(|session| Value::from(session.as_str().to_owned())));
        }
    }

    /// A type of events: exact, or all below a name that ends with `.*`.
    pub fn event_type(&mut self, column: &str, pattern: Option<&str>) {
        match pattern.map(|pattern| (pattern, pattern.strip_suffix('*'))) {
            None | Some((_, Some(""))) => {}
            Some((_, Some(prefix))) => {
                // A dot is the character before a slash.
                let end = format!("{}/", prefix.trim_end_matches('.'));
                self.and(&format!("{column} >= ?"), Some(prefix.to_owned()));
                self.and(&format!("{column} < ?"), Some(end));
            }
            Some((exact, None)) => self.and(&format!("{column} = ?"), Some(exact.to_owned())),
        }
    }

    fn sql(&self) -> String {
        if self.clauses.is_empty() { String::new() } else { format!(" WHERE {}", self.clauses.join(" AND ")) }
    }

    /// A page of a table, ordered by its key, the newest first.
    pub fn page<T>(
        mut self,
        connection: &Connection,
        (table, key, columns): (&str, &str, &str),
        page: &PageRequest,
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Page<T>> {
        self.and(&format!("{key} < ?"), page.before);
        let limit = page.limit + 1;
        let sql = format!("SELECT {key}, {columns} FROM {table}{} ORDER BY {key} DESC LIMIT {limit}", self.sql());
        let mut statement = connection.prepare(&sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, read(row)?));
        let mut rows: Vec<(i64, T)> =
            statement.query_map(params_from_iter(&self.values), read)?.collect::<Result<_>>()?;
        let has_more = rows.len() > page.limit;
        rows.truncate(page.limit);
        let next = rows.last().filter(|_| has_more).map(|(key, _)| key.to_string());
        Ok(Page { rows: rows.into_iter().map(|(_, row)| row).collect(), next })
    }
}

/// Milliseconds since 1970 as ISO 8601.
pub fn iso(milliseconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    clock::iso(at.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

/// A time as milliseconds since 1970.
pub fn milliseconds(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1_000_000) as i64
}
