//! The search index over EVENTS, DELIVERIES, DEAD_LETTERS and AUDIT, which this process keeps for itself.
//!
//! `feeder` reads the streams and `position` remembers how far; `event_facts` says what is kept of an event, and
//! `write_events`, `write_deliveries` and `write_audit` write it into the `database`. `retention` and `erasure` remove it
//! again. `query` answers the routes. Nothing here is on the path of a delivery, and all of it can be made again.

mod database;
mod erasure;
mod event_facts;
mod feeder;
mod position;
pub mod query;
mod retention;
mod write_audit;
mod write_deliveries;
mod write_events;

pub use database::IndexError;
pub use feeder::Source;
#[cfg(test)]
pub use write_deliveries::duration_class;

use crate::{bucket_error::bucket_write_error, error_code::ErrorCode, response::ApiError};
use database::Database;
use erasure::{Erasures, erase_address, erase_covered, known_addresses, read_erasures, store_erasure};
use kurir_chassis::{broker::Broker, settings::SettingProblem, shutdown::CancellationToken, tasks::TaskSet};
use kurir_contract::stream::EVENTS;
use rusqlite::Connection;
use std::{path::PathBuf, sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::sync::{RwLock, watch};
use write_events::TextRule;

/// Between two looks for what is too old.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// Between two steps of removing, so that new events come in between.
const RETENTION_PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at the erasures of other replicas.
const ERASURES_EVERY: Duration = Duration::from_secs(10);

/// Settings of the search index.
#[derive(Clone, Debug, clap::Args)]
pub struct IndexSettings {
    /// The folder of the search index, which can always be made again from NATS. Where it cannot be written, the index is
    /// in memory.
    #[arg(long, env = "INDEX_PATH", default_value = "./index")]
    pub index_path: PathBuf,
    /// How long the search index has events and deliveries; NATS keeps events 14 days and deliveries 7.
    #[arg(long, env = "INDEX_RETENTION", default_value = "14d", value_parser = humantime::parse_duration)]
    pub index_retention: Duration,
    /// Whether the search index keeps the text of messages. With `false` nobody can search or read them there.
    #[arg(long, env = "MESSAGE_STORE", default_value_t = true, action = clap::ArgAction::Set)]
    pub message_store: bool,
}

/// Longer than NATS keeps anything.
const LONGEST_RETENTION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl IndexSettings {
    pub fn problems(&self) -> Vec<SettingProblem> {
        let fits = (Duration::from_millis(1)..=LONGEST_RETENTION).contains(&self.index_retention);
        let fix = "use a time from 1ms to 366d, as 14d";
        if fits { Vec::new() } else { vec![SettingProblem::new("INDEX_RETENTION", fix)] }
    }
}

/// How long a query waits for a file that is being opened.
const OPENS_WITHIN: Duration = Duration::from_secs(1);

/// The index of this process. A clone shares it.
#[derive(Clone)]
pub struct EventIndex {
    /// Opened behind the start of the service: a slow disk must not delay it.
    opened: watch::Sender<Option<Database>>,
    path: PathBuf,
    broker: Broker,
    retention: Duration,
    text_rule: TextRule,
    erasures: Arc<RwLock<Erasures>>,
    rebuilds: watch::Sender<u64>,
}

impl EventIndex {
    pub fn new(settings: &IndexSettings, broker: Broker) -> Self {
        let text_rule = if settings.message_store { TextRule::Keep } else { TextRule::Omit };
        Self {
            opened: watch::Sender::new(None),
            path: settings.index_path.clone(),
            broker,
            retention: settings.index_retention,
            text_rule,
            erasures: Arc::default(),
            rebuilds: watch::Sender::new(0),
        }
    }

    /// The file, once it is open.
    async fn database(&self) -> Result<Database, IndexError> {
        let mut opened = self.opened.subscribe();
        let opened = opened.wait_for(Option::is_some).await.map_err(|_| IndexError::Stopped)?;
        opened.clone().ok_or(IndexError::Stopped)
    }

    /// Starts what keeps the index.
    pub fn start(&self, tasks: &mut TaskSet) {
        let shutdown = tasks.shutdown_token();
        tasks.spawn("index", self.clone().run(shutdown));
    }

    async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let path = self.path.clone();
        let database = tokio::task::spawn_blocking(move || Database::open(&path)).await??;
        self.opened.send_replace(Some(database));
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = self.prepare() => {}
        }
        let feed = |source| feeder::feed(self.clone(), source, shutdown.clone());
        let [events, deliveries, dead_letters, audit] = Source::ALL.map(feed);
        let upkeep = async {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = async { futures::join!(self.remove_old(), self.follow_erasures()); } => {}
            }
            Ok(())
        };
        futures::try_join!(events, deliveries, dead_letters, audit, upkeep)?;
        Ok(())
    }

    /// No event is read before the erasures are known, and a text that must not be kept any more is removed.
    async fn prepare(&self) {
        self.broker.wait_until_ready().await;
        loop {
            match read_erasures(&self.broker).await {
                Ok(erasures) => break *self.erasures.write().await = erasures,
                Err(error) => tracing::debug!("waiting for the erasures: {error}"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let keeps = self.keeps_text();
        let checked = self.write(move |connection| {
            let kept = position::value(connection, "message_store")?;
            let now = if keeps { "true" } else { "false" };
            if kept.is_some_and(|kept| kept != now) {
                // With the texts the events have to be read again, without them nothing may be left.
                position::forget_stream(connection, EVENTS)?;
            }
            position::set_value(connection, "message_store", now)
        });
        if let Err(error) = checked.await {
            tracing::warn!("failed to prepare the index: {error}");
        }
    }

    async fn remove_old(&self) {
        loop {
            let before = OffsetDateTime::now_utc() - self.retention;
            let before = (before.unix_timestamp_nanos() / 1_000_000) as i64;
            match self.write(move |connection| retention::remove_older(connection, before)).await {
                Ok(true) => tokio::time::sleep(RETENTION_PAUSE).await,
                Ok(false) => {
                    if let Err(error) = self.optimize().await {
                        tracing::debug!("failed to optimize the index: {error}");
                    }
                    tokio::time::sleep(RETENTION_EVERY).await;
                }
                Err(error) => {
                    tracing::warn!("failed to remove old rows of the index: {error}");
                    tokio::time::sleep(RETENTION_EVERY).await;
                }
            }
        }
    }

    /// Another replica may have erased a chat, whose hash covers events that are in this index.
    async fn follow_erasures(&self) {
        loop {
            tokio::time::sleep(ERASURES_EVERY).await;
            let Ok(stored) = read_erasures(&self.broker).await else { continue };
            let is_new = {
                let mut known = self.erasures.write().await;
                let is_new = *known != stored;
                *known = stored.clone();
                is_new
            };
            if is_new && let Err(error) = self.write(move |connection| erase_covered(connection, &stored)).await {
                tracing::error!("failed to erase what another replica has erased: {error}");
                // What is read again leaves it out.
                self.rebuild();
            }
        }
    }

    /// Whether it keeps the text of messages.
    pub fn keeps_text(&self) -> bool {
        self.text_rule == TextRule::Keep
    }

    pub fn retention(&self) -> Duration {
        self.retention
    }

    pub fn is_on_disk(&self) -> bool {
        self.opened.borrow().as_ref().is_some_and(Database::is_on_disk)
    }

    /// Makes the index again from the streams; it goes on behind the call.
    pub fn rebuild(&self) {
        self.rebuilds.send_modify(|count| *count += 1);
    }

    /// How far a stream is read.
    pub async fn position(&self, source: Source) -> Result<u64, ApiError> {
        let read = move |connection: &Connection| position::read_position(connection, source.stream());
        Ok(self.query(read).await?.map_or(0, |position| position.sequence))
    }

    /// # Errors
    /// If the query took too long, or failed.
    pub async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let opened = tokio::time::timeout(OPENS_WITHIN, self.database()).await;
        let database = opened.unwrap_or(Err(IndexError::TimedOut)).map_err(index_error)?;
        database.read(query).await.map_err(index_error)
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IndexError> {
        self.database().await?.read(query).await
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, IndexError> {
        self.database().await?.write(change).await
    }

    async fn optimize(&self) -> Result<(), IndexError> {
        self.database().await?.optimize().await
    }

    /// Erases what was written in a chat and by a person until now, here and in every other index. Gives how many messages
    /// this index had.
    pub async fn erase(&self, address: &str) -> Result<u64, ApiError> {
        let stream = self.broker.jetstream.get_stream(EVENTS).await.map_err(|_| ApiError::broker_unavailable())?;
        let through = stream.cached_info().state.last_sequence;
        let given = address.to_owned();
        let addresses = self.query(move |connection| known_addresses(connection, &given)).await?;
        for address in &addresses {
            let erasure = store_erasure(&self.broker, address, through).await.map_err(bucket_write_error)?;
            self.erasures.write().await.insert(erasure::address_key(address), &erasure);
        }
        let erase = move |connection: &Connection| {
            addresses.iter().map(|address| erase_address(connection, address, through)).sum::<rusqlite::Result<u64>>()
        };
        let erased = self.write(erase).await;
        erased.map_err(index_error)
    }
}

fn index_error(error: IndexError) -> ApiError {
    match error {
        IndexError::TimedOut => ApiError::new(ErrorCode::IndexBusy, "The search index took too long; ask for less"),
        IndexError::Sqlite(_) | IndexError::Stopped => {
            tracing::error!("{error}");
            ApiError::internal()
        }
    }
}
