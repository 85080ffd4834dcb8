//! Notices when a stream, a bucket or an object store vanishes from NATS, or is replaced by an older copy of itself.
//!
//! Each loss is logged, counted, and shown in the answer to a ping. What is missing is made again at once, and those who
//! keep something in the store compare it with what they know.

use crate::metrics::GatewayMetrics;
use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind};
use kurir_chassis::{broker::Broker, health::Health, shutdown::CancellationToken};
use kurir_contract::{
    clock,
    command::{IDEMPOTENCY_BUCKET, IDEMPOTENCY_LASTS},
    job,
    media::{MEDIA_BUCKET, MEDIA_TO_SEND_BUCKET, MEDIA_TO_SEND_LASTS},
    session::SESSION_HOLDERS_BUCKET,
    session_record::SESSIONS_BUCKET,
    stream,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::{sync::watch, time::sleep};

/// How often each store is looked at: ten small requests.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The pause after a look that failed, as at the start, when NATS is not connected yet: a loss is noticed only by who
/// has seen the store before.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What is behind the gateway's features in NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WatchedStore {
    Events,
    Outbox,
    Jobs,
    IdempotencyKeys,
    KnownChats,
    Sessions,
    SessionHolders,
    ReceivedMedia,
    MediaToSend,
}

impl WatchedStore {
    const ALL: [Self; 9] = [
        Self::Events,
        Self::Outbox,
        Self::Jobs,
        Self::IdempotencyKeys,
        Self::KnownChats,
        Self::Sessions,
        Self::SessionHolders,
        Self::ReceivedMedia,
        Self::MediaToSend,
    ];

    /// Its name as an operator knows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => stream::EVENTS,
            Self::Outbox => stream::OUTBOX,
            Self::Jobs => job::BUCKET,
            Self::IdempotencyKeys => IDEMPOTENCY_BUCKET,
            Self::KnownChats => crate::known_chats::BUCKET,
            Self::Sessions => SESSIONS_BUCKET,
            Self::SessionHolders => SESSION_HOLDERS_BUCKET,
            Self::ReceivedMedia => MEDIA_BUCKET,
            Self::MediaToSend => MEDIA_TO_SEND_BUCKET,
        }
    }

    /// The stream that holds it.
    fn stream(self) -> String {
        match self {
            Self::Events | Self::Outbox => self.as_str().to_owned(),
            Self::ReceivedMedia | Self::MediaToSend => format!("OBJ_{}", self.as_str()),
            Self::Jobs | Self::IdempotencyKeys | Self::KnownChats | Self::Sessions | Self::SessionHolders => {
                format!("KV_{}", self.as_str())
            }
        }
    }

    /// What a user loses with it.
    fn loss(self) -> &'static str {
        match self {
            Self::Events => "events that no endpoint had yet",
            Self::Outbox => "jobs that waited or ran; each of them ends as failed",
            Self::Jobs => "the progress of jobs; those that wait are known again",
            Self::IdempotencyKeys => "which keys were used; a repeat goes out again under the same id",
            Self::KnownChats => "with whom there is a chat; these count as new chats again",
            Self::Sessions => "the records of sessions",
            Self::SessionHolders => "which gateway holds which session; it is claimed again",
            Self::ReceivedMedia => "received files",
            Self::MediaToSend => "files that wait to be sent; these sends fail",
        }
    }
}

/// What tells a stream from another one of its name, or from its own past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StoreIdentity {
    created: OffsetDateTime,
    last_sequence: u64,
}

impl StoreIdentity {
    /// Whether this is the stream that was seen before, or a later state of it.
    fn continues(self, before: Self) -> bool {
        self.created == before.created && self.last_sequence >= before.last_sequence
    }
}

/// How often each store was lost since the start of the gateway. A clone shares it.
#[derive(Clone, Debug, Default)]
pub struct StoreLosses(Arc<watch::Sender<BTreeMap<WatchedStore, u64>>>);

impl StoreLosses {
    /// Follows the losses of some stores.
    #[must_use]
    pub fn follow<const N: usize>(&self, stores: [WatchedStore; N]) -> StoreLossListener<N> {
        StoreLossListener { losses: self.0.subscribe(), stores, seen: [0; N] }
    }

    fn add(&self, store: WatchedStore) {
        self.0.send_modify(|losses| *losses.entry(store).or_default() += 1);
    }
}

/// Hears of each loss once, also of those before it was made.
pub struct StoreLossListener<const N: usize> {
    losses: watch::Receiver<BTreeMap<WatchedStore, u64>>,
    stores: [WatchedStore; N],
    seen: [u64; N],
}

impl<const N: usize> StoreLossListener<N> {
    /// Waits until one of the stores was lost again.
    pub async fn next_loss(&mut self) {
        let (stores, seen) = (self.stores, self.seen);
        let count = |losses: &BTreeMap<WatchedStore, u64>| stores.map(|store| losses.get(&store).copied().unwrap_or(0));
        match self.losses.wait_for(|losses| count(losses) != seen).await.map(|losses| count(&losses)) {
            Ok(now) => self.seen = now,
            // The watch ends with the process.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Looks at all stores.
pub struct StoreWatch {
    pub broker: Broker,
    pub metrics: GatewayMetrics,
    pub health: Health,
    pub losses: StoreLosses,
    pub media_max_age: Duration,
}

impl StoreWatch {
    /// Looks until the shutdown.
    ///
    /// # Errors
    /// Never; the shape is that of a service's task.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let looks = async {
            let mut known = BTreeMap::new();
            loop {
                let mut pause = LOOK_EVERY;
                for store in WatchedStore::ALL {
                    if let Err(error) = self.look(store, &mut known).await {
                        tracing::debug!("failed to look at {}: {error:#}", store.as_str());
                        pause = LOOK_AGAIN;
                    }
                }
                sleep(pause).await;
            }
        };
        shutdown.run_until_cancelled(looks).await;
        Ok(())
    }

    async fn look(&self, store: WatchedStore, known: &mut BTreeMap<WatchedStore, StoreIdentity>) -> anyhow::Result<()> {
        let before = known.get(&store).copied();
        let now = match self.find(store).await? {
            // A store that nobody needed yet is made when it is needed.
            None if before.is_none() => return Ok(()),
            None => {
                self.make_again(store).await?;
                self.find(store).await?
            }
            found => found,
        };
        let Some(now) = now else { return Ok(()) };
        known.insert(store, now);
        if before.is_some_and(|before| !now.continues(before)) {
            self.report_loss(store);
        }
        Ok(())
    }

    async fn find(&self, store: WatchedStore) -> anyhow::Result<Option<StoreIdentity>> {
        anyhow::ensure!(self.broker.is_connected(), "no connection to NATS");
        match self.broker.jetstream.get_stream(store.stream()).await {
            Ok(stream) => {
                let info = stream.cached_info();
                Ok(Some(StoreIdentity { created: info.created, last_sequence: info.state.last_sequence }))
            }
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(refusal) if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    Ok(None)
                }
                _ => Err(error.into()),
            },
        }
    }

    async fn make_again(&self, store: WatchedStore) -> anyhow::Result<()> {
        let name = store.as_str();
        match store {
            WatchedStore::Events | WatchedStore::Outbox => self.broker.create_missing_streams().await,
            WatchedStore::Jobs => self.broker.expiring_bucket(name, job::RECORD_LASTS).await.map(drop),
            WatchedStore::IdempotencyKeys => self.broker.expiring_bucket(name, IDEMPOTENCY_LASTS).await.map(drop),
            WatchedStore::KnownChats => {
                self.broker.expiring_bucket(name, crate::known_chats::KNOWN_FOR).await.map(drop)
            }
            WatchedStore::Sessions | WatchedStore::SessionHolders => self.broker.bucket(name).await.map(drop),
            WatchedStore::ReceivedMedia => self.broker.object_store(name, self.media_max_age).await.map(drop),
            WatchedStore::MediaToSend => self.broker.object_store(name, MEDIA_TO_SEND_LASTS).await.map(drop),
        }
    }

    fn report_loss(&self, store: WatchedStore) {
        let (name, loss) = (store.as_str(), store.loss());
        tracing::error!("{name} vanished from NATS and was made again, or is an older copy. Lost are {loss}");
        self.metrics.count_lost_store(name);
        let at = clock::iso(clock::now());
        self.health.add_notice(format!("{at}: {name} vanished from NATS, or is an older copy. Lost are {loss}"));
        self.losses.add(store);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_state_continues_and_an_earlier_or_another_stream_does_not() {
        let at = |created, last_sequence| StoreIdentity {
            created: OffsetDateTime::UNIX_EPOCH + Duration::from_secs(created),
            last_sequence,
        };
        let before = at(5, 10);
        for (now, expected) in [(at(5, 10), true), (at(5, 11), true), (at(5, 9), false), (at(6, 11), false)] {
            assert_eq!(now.continues(before), expected, "{now:?}");
        }
    }
}
