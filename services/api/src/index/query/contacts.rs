//! People who wrote, the one who wrote last first.

use super::{Filter, Page, PageRequest, VisibleSessions, iso};
use rusqlite::{Connection, Result};
use schemars::JsonSchema;
use serde::Serialize;

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonView {
    /// The canonical JID.
    pub id: String,
    pub session: String,
    pub lid: Option<String>,
    /// The name that they chose; null if it is unknown.
    pub name: Option<String>,
    /// When they were last heard of, ISO 8601.
    pub last_at: String,
}

/// Which people a list shows.
#[derive(Clone, Debug, Default)]
pub struct ContactFilter {
    pub visible: VisibleSessions,
    pub session: Option<String>,
    /// A part of the name or of the address.
    pub text: Option<String>,
}

pub fn list_contacts(connection: &Connection, wanted: &ContactFilter, page: &PageRequest) -> Result<Page<PersonView>> {
    let mut filter = Filter::default();
    filter.within("session", &wanted.visible);
    filter.and("session = ?", wanted.session.clone());
    filter.and(
        "instr(lower(coalesce(name, '') || ' ' || jid), ?) > 0",
        wanted.text.as_ref().map(|text| text.to_lowercase()),
    );
    filter.page(connection, ("contacts", "last_seq", "jid, session, lid, name, last_at"), page, |row| {
        Ok(PersonView {
            id: row.get(1)?,
            session: row.get(2)?,
            lid: row.get(3)?,
            name: row.get(4)?,
            last_at: iso(row.get(5)?),
        })
    })
}
