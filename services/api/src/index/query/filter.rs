//! The conditions of a query, and a page of the rows that fulfil them.
//!
//! A page is always read in the order of its table's key. SQLite does so from an index as long as all columns of the index
//! before the key have one value; for several values, or for a range of them, it reads and sorts everything. So a filter
//! with several values of a column is read once for each value, and the first rows of all are put together.

use super::{Page, PageRequest, VisibleSessions};
use rusqlite::{Connection, Result, Row, params, params_from_iter, types::Value};

/// More alternatives than this are one condition. Each costs 20 µs.
const MOST_ALTERNATIVES: usize = 200;
/// More types than there are. A caller of the API may store events of any type.
const MOST_TYPES: usize = 100;

/// The conditions of a query with their values.
#[derive(Default)]
pub struct Filter {
    clauses: Vec<String>,
    values: Vec<Value>,
    /// Columns, each with the values of which it must have one; two or more.
    alternatives: Vec<(String, Vec<String>)>,
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

    /// Adds values of which the column must have one. The table has an index that begins with the column, or with this
    /// filter's columns together, and ends with the key.
    pub fn one_of(&mut self, column: &str, mut values: Vec<String>) {
        match values.len() {
            0 => self.require("0"),
            1 => self.and(&format!("{column} = ?"), values.pop()),
            _ => self.alternatives.push((column.to_owned(), values)),
        }
    }

    /// Adds the sessions that the caller may see, as one condition.
    pub fn within(&mut self, column: &str, sessions: &VisibleSessions) {
        if let Some(sessions) = sessions {
            self.clauses.push(is_one_of(column, sessions.len()));
            self.values.extend(sessions.iter().map(|session| Value::from(session.as_str().to_owned())));
        }
    }

    /// Adds the sessions that the caller may see, each read from its own part of the index.
    pub fn within_each(&mut self, column: &str, sessions: &VisibleSessions) {
        if let Some(sessions) = sessions {
            self.one_of(column, sessions.iter().map(|session| session.as_str().to_owned()).collect());
        }
    }

    /// Adds a type of events: exact, or all below a name that ends with `.*`. With `each`, a filter without a type has each
    /// type that there is: for a table whose index has the type between the filter's columns and the key. `table` is
    /// indexed by the column.
    pub fn event_type(
        &mut self,
        connection: &Connection,
        (table, column): (&str, &str),
        pattern: Option<&str>,
        each: bool,
    ) -> Result<()> {
        let (from, until) = match pattern.map(|pattern| (pattern, pattern.strip_suffix('*'))) {
            None | Some((_, Some(""))) if !each => return Ok(()),
            None | Some((_, Some(""))) => (String::new(), "\u{10ffff}".to_owned()),
            // A dot is the character before a slash.
            Some((_, Some(prefix))) => (prefix.to_owned(), format!("{}/", prefix.trim_end_matches('.'))),
            Some((exact, None)) => {
                self.and(&format!("{column} = ?"), Some(exact.to_owned()));
                return Ok(());
            }
        };
        let types = types_between(connection, (table, column), &from, &until)?;
        if types.len() <= MOST_TYPES {
            self.one_of(column, types);
        } else {
            self.and(&format!("{column} >= ?"), Some(from));
            self.and(&format!("{column} < ?"), Some(until));
        }
        Ok(())
    }

    /// All conditions with their values, as one.
    pub fn whole(&self) -> (String, Vec<Value>) {
        let (mut clauses, mut values) = (self.clauses.clone(), self.values.clone());
        for (column, alternatives) in &self.alternatives {
            clauses.push(is_one_of(column, alternatives.len()));
            values.extend(alternatives.iter().cloned().map(Value::from));
        }
        (sql_of(&clauses), values)
    }

    /// The conditions for each combination of alternatives; one if there are none, or too many.
    fn branches(&self) -> Vec<(String, Vec<Value>)> {
        let count = self.alternatives.iter().fold(1_usize, |count, (_, values)| count.saturating_mul(values.len()));
        if count == 1 || count > MOST_ALTERNATIVES {
            return vec![self.whole()];
        }
        let mut branches = vec![(self.clauses.clone(), self.values.clone())];
        for (column, alternatives) in &self.alternatives {
            let with = |branch: &(Vec<String>, Vec<Value>), alternative: &String| {
                let (mut clauses, mut values) = branch.clone();
                clauses.push(format!("{column} = ?"));
                values.push(Value::from(alternative.clone()));
                (clauses, values)
            };
            branches =
                branches.iter().flat_map(|branch| alternatives.iter().map(move |one| with(branch, one))).collect();
        }
        branches.into_iter().map(|(clauses, values)| (sql_of(&clauses), values)).collect()
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
        let branches = self.branches();
        let (conditions, values) = if let [(conditions, values)] = &branches[..] {
            (conditions.clone(), values.clone())
        } else {
            let part = |(conditions, _): &(String, _)| {
                format!("SELECT * FROM (SELECT {key} FROM {table}{conditions} ORDER BY {key} DESC LIMIT {limit})")
            };
            let keys = branches.iter().map(part).collect::<Vec<_>>().join(" UNION ALL ");
            let values = branches.into_iter().flat_map(|(_, values)| values).collect();
            (format!(" WHERE {key} IN ({keys})"), values)
        };
        let sql = format!("SELECT {key}, {columns} FROM {table}{conditions} ORDER BY {key} DESC LIMIT {limit}");
        let mut statement = connection.prepare(&sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, read(row)?));
        let mut rows: Vec<(i64, T)> = statement.query_map(params_from_iter(&values), read)?.collect::<Result<_>>()?;
        let has_more = rows.len() > page.limit;
        rows.truncate(page.limit);
        let next = rows.last().filter(|_| has_more).map(|(key, _)| key.to_string());
        Ok(Page { rows: rows.into_iter().map(|(_, row)| row).collect(), next })
    }
}

fn is_one_of(column: &str, count: usize) -> String {
    format!("{column} IN ({})", vec!["?"; count].join(", "))
}

fn sql_of(clauses: &[String]) -> String {
    if clauses.is_empty() { String::new() } else { format!(" WHERE {}", clauses.join(" AND ")) }
}

/// The types in a range, at most one more than [`MOST_TYPES`]. Each is found by one step in the index.
fn types_between(
    connection: &Connection,
    (table, column): (&str, &str),
    from: &str,
    until: &str,
) -> Result<Vec<String>> {
    let sql = format!(
        "WITH RECURSIVE found(type) AS (
           SELECT min({column}) FROM {table} WHERE {column} >= ?1 AND {column} < ?2
           UNION ALL
           SELECT (SELECT min({column}) FROM {table} WHERE {column} > found.type AND {column} < ?2) FROM found
           WHERE found.type IS NOT NULL)
         SELECT type FROM found WHERE type IS NOT NULL LIMIT {}",
        MOST_TYPES + 1
    );
    connection.prepare_cached(&sql)?.query_map(params![from, until], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE events (seq INTEGER PRIMARY KEY, type TEXT NOT NULL, session TEXT NOT NULL);
                 CREATE INDEX events_type ON events (type, seq);
                 CREATE INDEX events_session ON events (session, type, seq);",
            )
            .unwrap();
        let types = ["message.ack", "message.received", "group.updated", "messages", "call"];
        for seq in 0..1_000_usize {
            let (event_type, session) = (types[seq * 7 % 5], format!("s{}", seq * 3 % 4));
            connection.execute("INSERT INTO events VALUES (?1, ?2, ?3)", params![seq, event_type, session]).unwrap();
        }
        connection
    }

    /// All pages of a filter, and what SQLite says about reading the first.
    fn all(connection: &Connection, filter: impl Fn() -> Filter) -> Vec<(u64, String, String)> {
        let (mut rows, mut before) = (Vec::new(), None);
        loop {
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let request = PageRequest { limit: 7, before };
            let page = filter().page(connection, ("events", "seq", "type, session"), &request, read).unwrap();
            rows.extend(page.rows);
            match page.next {
                Some(next) => before = Some(next.parse().unwrap()),
                None => return rows,
            }
        }
    }

    #[test]
    fn alternatives_give_the_same_rows_in_the_same_order_as_one_condition() {
        let connection = table();
        let everything = all(&connection, Filter::default);
        assert_eq!(everything.len(), 1_000);
        for (pattern, sessions, each) in [
            (Some("message.*"), None, false),
            (Some("message.*"), Some(vec!["s1", "s3", "none"]), true),
            (None, Some(vec!["s1"]), true),
            (Some("*"), Some(vec!["s0", "s2"]), true),
            (Some("call"), Some(vec!["s0", "s2"]), true),
            (Some("nothing.*"), None, false),
            (None, Some(vec![]), true),
            (None, None, false),
        ] {
            let filter = || {
                let mut filter = Filter::default();
                filter.event_type(&connection, ("events", "type"), pattern, each).unwrap();
                if let Some(sessions) = &sessions {
                    filter.one_of("session", sessions.iter().map(|&session| session.to_owned()).collect());
                }
                filter
            };
            let is_wanted = |(_, event_type, session): &&(u64, String, String)| {
                let of_type = match pattern {
                    None | Some("*") => true,
                    Some(pattern) => match pattern.strip_suffix('*') {
                        Some(prefix) => event_type.starts_with(prefix),
                        None => event_type == pattern,
                    },
                };
                of_type && sessions.as_ref().is_none_or(|sessions| sessions.contains(&session.as_str()))
            };
            let wanted: Vec<_> = everything.iter().filter(is_wanted).cloned().collect();
            assert_eq!(all(&connection, filter), wanted, "{pattern:?} {sessions:?}");
        }
    }

    #[test]
    fn a_filter_with_many_alternatives_is_one_condition() {
        let connection = table();
        let filter = || {
            let mut filter = Filter::default();
            filter.one_of("session", (0..150).map(|number| format!("s{number}")).collect());
            filter.one_of("type", vec!["call".to_owned(), "messages".to_owned()]);
            filter
        };
        assert_eq!(filter().branches().len(), 1);
        assert_eq!(all(&connection, filter).len(), 400);
    }
}
