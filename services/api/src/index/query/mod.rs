//! Queries of the index, one file for each list, and what their rows look like in an answer.
//!
//! Every list is read by its own key, so a page costs the same wherever it is; `next` names the row before the next page.

pub mod audit;
pub mod chats;
pub mod contacts;
pub mod deliveries;
pub mod events;
mod filter;
pub mod messages;
pub mod search;
pub mod statistics;

use kurir_contract::{clock, session::SessionId};
use time::OffsetDateTime;

pub use filter::Filter;

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

/// Milliseconds since 1970 as ISO 8601.
pub fn iso(milliseconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000);
    clock::iso(at.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

/// A time as milliseconds since 1970.
pub fn milliseconds(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1_000_000) as i64
}
