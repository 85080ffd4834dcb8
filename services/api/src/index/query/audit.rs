//! The audit log, the newest entry first.

use super::{Filter, Page, PageRequest};
use kurir_contract::audit::AuditEntry;
use rusqlite::{Connection, Result};

/// Which entries a list shows.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub key: Option<String>,
    pub target: Option<String>,
}

pub fn list_audit(connection: &Connection, wanted: &AuditFilter, page: &PageRequest) -> Result<Page<AuditEntry>> {
    let mut filter = Filter::default();
    filter.and("actor = ?", wanted.key.clone());
    filter.and("target = ?", wanted.target.clone());
    let page = filter.page(connection, ("audit", "seq", "entry"), page, |row| row.get::<_, String>(1))?;
    // The index wrote them itself.
    let rows = page.rows.iter().filter_map(|entry| serde_json::from_str(entry).ok()).collect();
    Ok(Page { rows, next: page.next })
}
