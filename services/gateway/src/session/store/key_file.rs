//! Whether the file with a session's keys can be used, found out in milliseconds: the library would try for half a minute,
//! and then say less.
//!
//! A file that does not exist, or is empty, is a session that was never paired.

use rusqlite::{Connection, OpenFlags};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Read as _},
    path::Path,
    time::Duration,
};

/// Why the file cannot be used. Another try would find the same.
#[derive(Debug, thiserror::Error)]
#[error("the session's file {file} {problem}; restore it from a backup, or log out and pair again")]
pub struct DamagedKeys {
    file: String,
    problem: String,
}

/// The newest change of the tables that the library knows: the name of its last migration.
const NEWEST_SCHEMA: &str = "20260703000001";
/// A table that the library's first release had already.
const OWN_TABLE: &str = "sessions";
/// What every SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// A larger file is not read whole: a connection would wait for it.
const LARGEST_CHECKED: u64 = 64 << 20;
/// Another connection of this gateway may still be closing.
const BUSY: Duration = Duration::from_secs(2);

/// # Errors
/// If the file is none of a session that this version can use.
pub fn check_keys(file: &Path) -> Result<(), DamagedKeys> {
    find_problem(file).map_or(Ok(()), |problem| Err(DamagedKeys { file: file.display().to_string(), problem }))
}

fn find_problem(file: &Path) -> Option<String> {
    if file.is_dir() {
        return Some("is a folder".to_owned());
    }
    let mut opened = match OpenOptions::new().read(true).write(true).open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => return Some(format!("cannot be read and written: {error}")),
    };
    let size = match opened.metadata() {
        Ok(found) if !found.is_file() => return Some("is no file".to_owned()),
        Ok(found) => found.len(),
        Err(error) => return Some(format!("cannot be read: {error}")),
    };
    if size == 0 {
        return None;
    }
    let mut begins = [0; MAGIC.len()];
    if opened.read_exact(&mut begins).is_err() || begins != *MAGIC {
        return Some("is no SQLite database".to_owned());
    }
    drop(opened);
    match find_problem_within(file, size) {
        Ok(problem) => problem,
        Err(error) => is_damage(&error).then(|| format!("is damaged: {error}")),
    }
}

fn find_problem_within(file: &Path, size: u64) -> rusqlite::Result<Option<String>> {
    let database =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    database.busy_timeout(BUSY)?;
    let count = |query: &str| database.query_row(query, (), |row| row.get::<_, u32>(0));
    let tables = count("SELECT count(*) FROM sqlite_master WHERE type = 'table'")?;
    if tables == 0 {
        return Ok(None);
    }
    let own = format!("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '{OWN_TABLE}'");
    let migrated = "SELECT count(*) FROM sqlite_master WHERE name = '__diesel_schema_migrations'";
    if count(&own)? == 0 || count(migrated)? == 0 {
        return Ok(Some("is the database of another program".to_owned()));
    }
    let newest = "SELECT max(version) FROM __diesel_schema_migrations";
    let newest: Option<String> = database.query_row(newest, (), |row| row.get(0))?;
    if newest.as_deref().is_some_and(|newest| newest > NEWEST_SCHEMA) {
        return Ok(Some("was written by a newer version of Kurir, which has to be used again".to_owned()));
    }
    if size > LARGEST_CHECKED {
        return Ok(None);
    }
    let found: String = database.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    Ok((found != "ok").then(|| format!("is damaged: {found}")))
}

/// Whether the file holds the keys of an account that is paired. One that cannot be read counts as such: nothing may be
/// written over it.
pub fn is_paired(file: &Path) -> bool {
    if !file.exists() {
        return false;
    }
    let read = || {
        let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        database.busy_timeout(BUSY)?;
        let tables: u32 =
            database.query_row("SELECT count(*) FROM sqlite_master WHERE name = 'device'", (), |row| row.get(0))?;
        if tables == 0 {
            return Ok(0);
        }
        database.query_row("SELECT count(*) FROM device WHERE pn <> ''", (), |row| row.get(0))
    };
    read().map_or(true, |paired: u32| paired > 0)
}

/// The device whose keys the file holds; none if it is not paired or cannot be read.
pub fn device(file: &Path) -> Option<String> {
    if !file.is_file() {
        return None;
    }
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
    database.busy_timeout(BUSY).ok()?;
    database.query_row("SELECT pn FROM device WHERE pn <> ''", (), |row| row.get(0)).ok()
}

/// Makes one file of the database and SQLite's files for it, which nobody has open.
pub fn close_log(file: &Path) -> rusqlite::Result<()> {
    let database = Connection::open(file)?;
    database.busy_timeout(BUSY)?;
    database.pragma_update(None, "journal_mode", "DELETE")
}

/// Writes a copy, in one file.
pub fn copy(file: &Path, to: &Path) -> anyhow::Result<()> {
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    database.busy_timeout(BUSY)?;
    let to = to.to_str().ok_or_else(|| anyhow::anyhow!("{} is no text that SQLite takes", to.display()))?;
    database.execute("VACUUM INTO ?1", [to])?;
    Ok(())
}

/// A disk that is full or a file that is locked may be well again at the next try.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as E;
    !matches!(
        error.sqlite_error_code(),
        Some(
            E::DatabaseBusy
                | E::DatabaseLocked
                | E::DiskFull
                | E::SystemIoFailure
                | E::OutOfMemory
                | E::CannotOpen
                | E::ReadOnly
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use whatsapp_rust::store::SqliteStore;

    async fn fresh(folder: &Path) -> std::path::PathBuf {
        let file = folder.join("whatsapp.db");
        drop(SqliteStore::new(file.to_str().expect("a path")).await.expect("a database"));
        file
    }

    fn problem(file: &Path) -> String {
        check_keys(file).map_or_else(|damaged| damaged.to_string(), |()| String::new())
    }

    #[tokio::test]
    async fn a_file_of_the_library_is_used_and_its_schema_is_the_newest_that_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(problem(&folder.path().join("missing.db")), "");
        let file = fresh(folder.path()).await;
        assert_eq!(problem(&file), "");
        let database = Connection::open(&file).expect("opened");
        let newest: String = database
            .query_row("SELECT max(version) FROM __diesel_schema_migrations", (), |row| row.get(0))
            .expect("a version");
        assert_eq!(newest, NEWEST_SCHEMA);
    }

    #[tokio::test]
    async fn each_damage_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = fresh(folder.path()).await;
        let bytes = {
            let database = Connection::open(&whole).expect("opened");
            database.pragma_update(None, "journal_mode", "DELETE").expect("one file");
            fs::read(&whole).expect("read")
        };
        let write = |name: &str, bytes: &[u8]| {
            let file = folder.path().join(name);
            fs::write(&file, bytes).expect("written");
            file
        };
        let mut scratched = bytes.clone();
        scratched[4096..8192].fill(0xa5);
        for (file, expected) in [
            (write("half.db", &bytes[..bytes.len() / 2]), "is damaged"),
            (write("head.db", &bytes[..100]), "is damaged"),
            (write("short.db", &bytes[..10]), "is no SQLite database"),
            (write("scratched.db", &scratched), "is damaged"),
            (write("garbage.db", &[0x5a; 9_000]), "is no SQLite database"),
            (write("zeros.db", &[0; 9_000]), "is no SQLite database"),
            (folder.path().to_owned(), "is a folder"),
        ] {
            let found = problem(&file);
            assert!(found.contains(expected), "{}: {found:?}", file.display());
        }
        assert_eq!(problem(&write("empty.db", b"")), "");
    }

    #[tokio::test]
    async fn foreign_and_newer_databases_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let foreign = folder.path().join("foreign.db");
        Connection::open(&foreign).expect("opened").execute_batch("CREATE TABLE shop (id INTEGER)").expect("a table");
        assert!(problem(&foreign).contains("another program"));
        let newer = fresh(folder.path()).await;
        let database = Connection::open(&newer).expect("opened");
        database
            .execute_batch("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')")
            .expect("a row");
        assert!(problem(&newer).contains("newer version of Kurir"));
    }
}
