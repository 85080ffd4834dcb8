//! Events: a page of them, and those that belong to one id.

use super::{Filter, Page, PageRequest, VisibleSessions, iso, milliseconds};
use rusqlite::{Connection, Result, Row, params};
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;

/// An event without its data.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventSummary {
    pub id: String,
    /// Its sequence in EVENTS.
    pub sequence: u64,
    pub event: String,
    pub session: String,
    /// When it was stored, ISO 8601.
    pub stored_at: String,
    /// When it happened, ISO 8601.
    pub at: String,
    pub chat: Option<String>,
    pub author: Option<String>,
    /// The WhatsApp message that it is about.
    pub message_id: Option<String>,
    pub from_me: bool,
    /// The new state of what it is about, as `read` or `connected`.
    pub detail: Option<String>,
    /// The id of a job, an endpoint or another event that it is about.
    pub reference: Option<String>,
}

const COLUMNS: &str = "id, type, session, stored_at, at, chat, author, message_id, from_me, detail, reference";
const TABLE: (&str, &str, &str) = ("events", "seq", COLUMNS);
/// Events about one message: more acknowledgements than a large group has members.
const MOST_RELATED: usize = 2_000;

/// Which events a list shows.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    pub visible: VisibleSessions,
    pub session: Option<String>,
    pub event_type: Option<String>,
    pub chat: Option<String>,
    pub message_id: Option<String>,
    pub since: Option<OffsetDateTime>,
    pub until: Option<OffsetDateTime>,
}

pub fn list_events(connection: &Connection, wanted: &EventFilter, page: &PageRequest) -> Result<Page<EventSummary>> {
    let mut filter = Filter::default();
    filter.and("chat = ?", wanted.chat.clone());
    filter.and("message_id = ?", wanted.message_id.clone());
    // A chat and a message have few rows, whatever else is asked.
    let is_few = wanted.chat.is_some() || wanted.message_id.is_some();
    if is_few {
        filter.within("session", &wanted.visible);
    } else {
        filter.within_each("session", &wanted.visible);
    }
    filter.and("session = ?", wanted.session.clone());
    let is_by_session = !is_few && (wanted.session.is_some() || wanted.visible.is_some());
    filter.event_type(connection, ("events", "type"), wanted.event_type.as_deref(), is_by_session)?;
    // Events are stored in the order of their sequences.
    if let Some(since) = wanted.since {
        filter.and("seq >= ?", Some(first_since(connection, since)?));
    }
    if let Some(until) = wanted.until {
        filter.and("seq < ?", Some(first_since(connection, until)?));
    }
    filter.page(connection, TABLE, page, read_event)
}

/// The first event that was stored at a time or after it.
fn first_since(connection: &Connection, at: OffsetDateTime) -> Result<i64> {
    let first = "SELECT seq FROM events WHERE stored_at >= ?1 ORDER BY stored_at, seq LIMIT 1";
    let found = connection.prepare_cached(first)?.query_row([milliseconds(at)], |row| row.get(0));
    found.or_else(|error| if error == rusqlite::Error::QueryReturnedNoRows { Ok(i64::MAX) } else { Err(error) })
}

/// The event of an id: the event's own id, the id of a WhatsApp message, or a sequence.
pub fn find_event(connection: &Connection, id: &str, visible: &VisibleSessions) -> Result<Option<EventSummary>> {
    let queries = [
        "id = ?1 ORDER BY seq LIMIT 1",
        "message_id = ?1 AND type IN ('message.received', 'message.sent', 'message.queued', 'message.undecryptable')
         ORDER BY type IN ('message.received', 'message.sent') DESC, seq LIMIT 1",
    ];
    for condition in queries {
        if let Some(found) = one(connection, condition, id)? {
            return Ok(Some(found).filter(|found| is_visible(found, visible)));
        }
    }
    if id.parse::<u64>().is_ok()
        && let Some(found) = one(connection, "seq = CAST(?1 AS INTEGER)", id)?
    {
        return Ok(Some(found).filter(|found| is_visible(found, visible)));
    }
    Ok(None)
}

fn is_visible(event: &EventSummary, visible: &VisibleSessions) -> bool {
    visible.as_ref().is_none_or(|visible| visible.iter().any(|session| session.as_str() == event.session))
}

fn one(connection: &Connection, condition: &str, id: &str) -> Result<Option<EventSummary>> {
    let mut statement = connection.prepare_cached(&format!("SELECT seq, {COLUMNS} FROM events WHERE {condition}"))?;
    let mut rows = statement.query_map([id], read_event)?;
    rows.next().transpose()
}

/// All events about the message, the oldest first.
pub fn events_of_message(connection: &Connection, session: &str, message_id: &str) -> Result<Vec<EventSummary>> {
    let sql = format!(
        "SELECT seq, {COLUMNS} FROM events WHERE message_id = ?1 AND session = ?2 ORDER BY seq LIMIT {MOST_RELATED}"
    );
    connection.prepare_cached(&sql)?.query_map(params![message_id, session], read_event)?.collect()
}

/// All events that refer to the id, the oldest first.
pub fn events_about(connection: &Connection, reference: &str) -> Result<Vec<EventSummary>> {
    let sql = format!("SELECT seq, {COLUMNS} FROM events WHERE reference = ?1 ORDER BY seq LIMIT {MOST_RELATED}");
    connection.prepare_cached(&sql)?.query_map([reference], read_event)?.collect()
}

fn read_event(row: &Row<'_>) -> Result<EventSummary> {
    Ok(EventSummary {
        sequence: row.get(0)?,
        id: row.get(1)?,
        event: row.get(2)?,
        session: row.get(3)?,
        stored_at: iso(row.get(4)?),
        at: iso(row.get(5)?),
        chat: row.get(6)?,
        author: row.get(7)?,
        message_id: row.get(8)?,
        from_me: row.get(9)?,
        detail: row.get(10)?,
        reference: row.get(11)?,
    })
}
