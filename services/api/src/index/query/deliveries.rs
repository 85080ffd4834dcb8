//! Attempts: a page of them, how many a selection has, and those of one event.

use super::{Filter, Page, PageRequest, VisibleSessions, iso, milliseconds};
use rusqlite::{Connection, Result, Row, params_from_iter};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// One attempt to deliver an event to an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    /// Names the attempt.
    pub id: String,
    pub event_id: String,
    /// The event's sequence in EVENTS.
    pub sequence: u64,
    pub event: String,
    pub endpoint: String,
    pub session: Option<String>,
    pub chat: Option<String>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// `delivered`; `refused` (another status than 2xx), `failed` (no answer), `filtered` (not for this endpoint).
    pub outcome: String,
    /// The status of the answer; null if there was none.
    pub status: Option<u16>,
    /// Of a failure: `connect`, `tls`, `timeout`, …; of a filtered event: what filtered it.
    pub class: Option<String>,
    /// The first kilobyte of an answer that was no 2xx, or why there was no answer.
    pub answer: Option<String>,
    /// The answer's headers.
    pub headers: Vec<(String, String)>,
    pub duration_ms: u64,
    /// When the attempt began, ISO 8601.
    pub at: String,
    /// The replay that made it; null for a live delivery.
    pub replay: Option<String>,
}

const COLUMNS: &str = "event_id, event_seq, event_type, endpoint, session, chat, attempt, outcome, status, class, answer, \
                       headers, duration_ms, at, replay";
const TABLE: (&str, &str, &str) = ("deliveries", "id", COLUMNS);
/// A batch is written within this time of its first attempt's beginning.
const SLACK_MS: i64 = 10 * 60 * 1000;
/// Attempts of one event.
const MOST_OF_EVENT: usize = 5_000;

/// Which attempts a list shows.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    pub visible: VisibleSessions,
    pub endpoint: Option<String>,
    pub session: Option<String>,
    pub chat: Option<String>,
    pub event_type: Option<String>,
    pub event_id: Option<String>,
    pub outcome: Option<String>,
    pub status: Option<u16>,
    pub since: Option<OffsetDateTime>,
    pub until: Option<OffsetDateTime>,
}

impl DeliveryFilter {
    fn build(&self, connection: &Connection) -> Result<Filter> {
        let mut filter = Filter::default();
        // These select by an index of their own.
        let is_few = self.endpoint.is_some()
            || self.chat.is_some()
            || self.event_id.is_some()
            || self.outcome.as_deref().is_some_and(|outcome| outcome != "delivered")
            || self.status.is_some_and(|status| status != 200);
        if is_few {
            filter.within("session", &self.visible);
        } else {
            filter.within_each("session", &self.visible);
        }
        filter.and("endpoint = ?", self.endpoint.clone());
        filter.and("session = ?", self.session.clone());
        filter.and("chat = ?", self.chat.clone());
        let is_by_session = !is_few && (self.session.is_some() || self.visible.is_some());
        filter.event_type(connection, ("deliveries", "event_type"), self.event_type.as_deref(), is_by_session)?;
        if let Some(event_id) = &self.event_id {
            filter.and("event_seq IN (SELECT seq FROM events WHERE id = ?)", Some(event_id.clone()));
            filter.and("event_id = ?", Some(event_id.clone()));
        }
        // The index of the rare outcomes and statuses serves a query that says that it asks for a rare one.
        if self.outcome.as_deref().is_some_and(|outcome| outcome != "delivered") {
            filter.require("outcome <> 'delivered'");
        }
        filter.and("outcome = ?", self.outcome.clone());
        if self.status.is_some_and(|status| status != 200) {
            filter.require("status <> 200");
        }
        filter.and("status = ?", self.status.map(i64::from));
        if let Some(since) = self.since {
            let since = milliseconds(since);
            filter.and("id >= ?", first_id(connection, since.saturating_sub(SLACK_MS))?);
            filter.and("+at >= ?", Some(since));
        }
        if let Some(until) = self.until {
            let until = milliseconds(until);
            filter.and("id < ?", first_id(connection, until.saturating_add(SLACK_MS))?);
            filter.and("+at < ?", Some(until));
        }
        Ok(filter)
    }
}

/// An attempt that began then or soon after; none if there is none.
fn first_id(connection: &Connection, at: i64) -> Result<Option<i64>> {
    let sql = "SELECT id FROM deliveries WHERE at >= ?1 ORDER BY at LIMIT 1";
    let found = connection.prepare_cached(sql)?.query_row([at], |row| row.get(0)).map(Some);
    found.or_else(|error| if error == rusqlite::Error::QueryReturnedNoRows { Ok(None) } else { Err(error) })
}

pub fn list_deliveries(
    connection: &Connection,
    wanted: &DeliveryFilter,
    page: &PageRequest,
) -> Result<Page<DeliveryView>> {
    wanted.build(connection)?.page(connection, TABLE, page, read_delivery)
}

/// The events of a selection, by endpoint; each event once, at most so many in all.
pub fn selected_events(
    connection: &Connection,
    wanted: &DeliveryFilter,
    most: usize,
) -> Result<BTreeMap<String, Vec<u64>>> {
    let (conditions, values) = wanted.build(connection)?.whole();
    let sql = format!("SELECT DISTINCT endpoint, event_seq FROM deliveries{conditions} LIMIT {most}");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(&values))?;
    let mut selected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        selected.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    selected.values_mut().for_each(|events| events.sort_unstable());
    Ok(selected)
}

/// The attempts of one event, the oldest first.
pub fn attempts_of_event(connection: &Connection, sequence: u64) -> Result<Vec<DeliveryView>> {
    let sql =
        format!("SELECT id, {COLUMNS} FROM deliveries WHERE event_seq = ?1 ORDER BY at, id LIMIT {MOST_OF_EVENT}");
    connection.prepare_cached(&sql)?.query_map([sequence], read_delivery)?.collect()
}

/// One attempt.
pub fn find_delivery(connection: &Connection, id: i64, visible: &VisibleSessions) -> Result<Option<DeliveryView>> {
    let mut filter = Filter::default();
    filter.within("session", visible);
    filter.and("id = ?", Some(id));
    let (conditions, values) = filter.whole();
    let sql = format!("SELECT id, {COLUMNS} FROM deliveries{conditions}");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query_map(params_from_iter(&values), read_delivery)?;
    rows.next().transpose()
}

fn read_delivery(row: &Row<'_>) -> Result<DeliveryView> {
    let headers: Option<String> = row.get(12)?;
    Ok(DeliveryView {
        id: row.get::<_, i64>(0)?.to_string(),
        event_id: row.get(1)?,
        sequence: row.get(2)?,
        event: row.get(3)?,
        endpoint: row.get(4)?,
        session: row.get(5)?,
        chat: row.get(6)?,
        attempt: row.get(7)?,
        outcome: row.get(8)?,
        status: row.get(9)?,
        class: row.get(10)?,
        answer: row.get(11)?,
        headers: headers.and_then(|headers| serde_json::from_str(&headers).ok()).unwrap_or_default(),
        duration_ms: row.get(13)?,
        at: iso(row.get(14)?),
        replay: row.get(15)?,
    })
}
