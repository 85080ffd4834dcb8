//! The file of the index: SQLite with one writer and a few readers.
//!
//! Everything in it can be made again from the streams, so a file that cannot be used is replaced. Each process locks its
//! own file; without a folder that can be written the index is in memory.

use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};

/// A file with another number is made again.
const VERSION: i64 = 2;
/// Replicas that may share a folder, each with its own file.
const MOST_FILES: usize = 16;
/// Queries that run at the same time. More would only share the processors.
const READERS: usize = 4;
/// A query that takes longer is broken off: the API promises its answers within 5 s.
const QUERY_WITHIN: Duration = Duration::from_secs(3);

/// Why the index did not answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("a query of the index took too long")]
    TimedOut,
    #[error("the index failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("a task of the index failed")]
    Stopped,
}

/// The connections to one file. A clone shares them.
#[derive(Clone)]
pub struct Database(Arc<Shared>);

struct Shared {
    writer: Arc<Mutex<Connection>>,
    /// Empty for an index in memory, which its writer reads too.
    readers: Mutex<Vec<Connection>>,
    turns: Semaphore,
    location: Option<PathBuf>,
    /// Locked as long as this process uses the file.
    _lock: Option<File>,
}

impl Database {
    /// Opens a file in the folder that no other process uses, and in memory if there is none.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        if let Some((path, lock)) = lock_file(folder) {
            match Self::open_file(&path) {
                Ok((writer, readers)) => return Ok(Self::new(writer, readers, Some(path), Some(lock))),
                Err(error) => tracing::warn!("failed to open the index {}: {error}", path.display()),
            }
        }
        tracing::warn!(
            "the index is in memory and is made again at each start: INDEX_PATH names no folder that can be written"
        );
        let writer = Connection::open_in_memory()?;
        create_tables(&writer)?;
        Ok(Self::new(writer, Vec::new(), None, None))
    }

    fn new(writer: Connection, readers: Vec<Connection>, location: Option<PathBuf>, lock: Option<File>) -> Self {
        let turns = Semaphore::new(readers.len().max(1));
        let (writer, readers) = (Arc::new(Mutex::new(writer)), Mutex::new(readers));
        Self(Arc::new(Shared { writer, readers, turns, location, _lock: lock }))
    }

    /// The writer and the readers of a file, which is made again unless it can be used as it is.
    fn open_file(path: &Path) -> rusqlite::Result<(Connection, Vec<Connection>)> {
        let writer = match open_writer(path) {
            Ok(writer) => writer,
            Err(error) => {
                tracing::info!("the index {} is made again: {error}", path.display());
                remove_files(path);
                open_writer(path)?
            }
        };
        let readers = (0..READERS).map(|_| open_reader(path)).collect::<rusqlite::Result<_>>()?;
        Ok((writer, readers))
    }

    /// Whether the index outlives this process.
    pub fn is_on_disk(&self) -> bool {
        self.0.location.is_some()
    }

    /// Runs a change as one transaction, beside the runtime's threads.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IndexError> {
        let writer = Arc::clone(&self.0.writer);
        let work = move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = writer.transaction()?;
            let changed = change(&transaction)?;
            transaction.commit()?;
            Ok(changed)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| IndexError::Stopped)?
    }

    /// Runs a query beside the runtime's threads, and breaks it off after 3 s.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IndexError> {
        let turn = timeout(QUERY_WITHIN, self.0.turns.acquire()).await.map_err(|_| IndexError::TimedOut)?;
        let _turn = turn.map_err(|_| IndexError::Stopped)?;
        let reader = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(reader) = reader else {
            let writer = Arc::clone(&self.0.writer);
            let work = move || Ok(query(&writer.lock().unwrap_or_else(PoisonError::into_inner))?);
            return tokio::task::spawn_blocking(work).await.map_err(|_| IndexError::Stopped)?;
        };
        let interrupt = reader.get_interrupt_handle();
        // The connection comes back even if the caller goes away meanwhile.
        let shared = Arc::clone(&self.0);
        let mut work = tokio::task::spawn_blocking(move || {
            let result = query(&reader);
            shared.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            result
        });
        match timeout(QUERY_WITHIN, &mut work).await {
            Ok(done) => Ok(done.map_err(|_| IndexError::Stopped)??),
            Err(_) => {
                interrupt.interrupt();
                // The turn lasts until the connection is free again.
                let _ = work.await;
                Err(IndexError::TimedOut)
            }
        }
    }

    /// Lets SQLite look at its tables again, so that it chooses the right index for a query.
    pub async fn optimize(&self) -> Result<(), IndexError> {
        self.write(|connection| connection.execute_batch("PRAGMA analysis_limit = 1000; PRAGMA optimize")).await
    }
}

/// A path in the folder, with the lock that keeps other processes away from it.
fn lock_file(folder: &Path) -> Option<(PathBuf, File)> {
    fs::create_dir_all(folder).ok()?;
    (1..=MOST_FILES).find_map(|number| {
        let lock = File::create(folder.join(format!("index-{number}.lock"))).ok()?;
        lock.try_lock().ok()?;
        Some((folder.join(format!("index-{number}.sqlite")), lock))
    })
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let writer = Connection::open(path)?;
    // A power cut may take the last changes, and never damages the file; the streams still have what is missing.
    writer.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32000; PRAGMA secure_delete = ON;
         PRAGMA journal_size_limit = 64000000; PRAGMA temp_store = MEMORY",
    )?;
    let version: i64 = writer.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        VERSION => Ok(writer),
        0 => {
            create_tables(&writer)?;
            Ok(writer)
        }
        _ => Err(rusqlite::Error::InvalidQuery),
    }
}

fn create_tables(writer: &Connection) -> rusqlite::Result<()> {
    // Nothing would be lost with a file that is new, and its start need not wait for the disk.
    writer.execute_batch("PRAGMA synchronous = OFF")?;
    writer.execute_batch(&format!(
        "BEGIN; {}; PRAGMA user_version = {VERSION}; COMMIT; PRAGMA synchronous = NORMAL",
        include_str!("schema.sql")
    ))?;
    writer.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    reader.busy_timeout(QUERY_WITHIN)?;
    reader.execute_batch("PRAGMA cache_size = -8000; PRAGMA mmap_size = 268435456; PRAGMA temp_store = MEMORY")?;
    Ok(reader)
}

fn remove_files(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        // What is not there need not be removed.
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
}
