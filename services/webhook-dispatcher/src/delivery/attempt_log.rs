//! The record of every attempt: DELIVERIES, in batches.
//!
//! One message an attempt would cost a quarter of the throughput, up to 64 in one cost nothing. A delivery that
//! succeeded does not wait for its record: a dispatcher that is killed loses the records of its last milliseconds, and
//! no delivery. A failed attempt does wait, so that what is given up or tried again is on record before it is.

use anyhow::Context as _;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::{delivery::Attempt, endpoint::EndpointId, event::EventId, header, subject};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Attempts in one message. With a kilobyte of an answer each they are far below NATS' 1 MB.
const BATCH: usize = 64;
/// How long a batch waits to become full.
const BATCH_WAIT: Duration = Duration::from_millis(50);
/// The same if a failed attempt waits for it: its slot is not held for long.
const BATCH_WAIT_AWAITED: Duration = Duration::from_millis(5);
/// Attempts that wait to be written. NATS hands out nothing while it cannot take records either, so these are a
/// hiccup's worth; beyond them records are dropped and counted, since delivering goes first.
const QUEUE: usize = 4_096;
/// How long a failed attempt waits for its record.
const RECORDED_WITHIN: Duration = Duration::from_secs(2);
/// Tries to write one batch.
const TRIES: u32 = 3;

/// Where attempts are handed in.
#[derive(Clone)]
pub struct AttemptLog {
    entries: mpsc::Sender<Entry>,
    dropped: Arc<AtomicU64>,
}

/// The task that writes them.
pub struct Recorder {
    broker: Broker,
    entries: mpsc::Receiver<Entry>,
    dropped: Arc<AtomicU64>,
}

struct Entry {
    attempt: Attempt,
    /// Somebody waits for it to be on record.
    recorded: Option<oneshot::Sender<()>>,
}

#[must_use]
pub fn open(broker: Broker) -> (AttemptLog, Recorder) {
    let (sender, entries) = mpsc::channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    (AttemptLog { entries: sender, dropped: Arc::clone(&dropped) }, Recorder { broker, entries, dropped })
}

impl AttemptLog {
    /// Hands it in and goes on.
    pub fn record(&self, attempt: Attempt) {
        self.hand_in(Entry { attempt, recorded: None });
    }

    /// Waits until it is on record, or until it is clear that this takes too long.
    pub async fn recorded(&self, attempt: Attempt) {
        let (sender, recorded) = oneshot::channel();
        self.hand_in(Entry { attempt, recorded: Some(sender) });
        // A record that cannot be written was told of by the recorder; the delivery goes on.
        let _ = tokio::time::timeout(RECORDED_WITHIN, recorded).await;
    }

    fn hand_in(&self, entry: Entry) {
        if self.entries.try_send(entry).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Recorder {
    /// Writes until all who could hand in an attempt are gone, so it ends after the last delivery.
    ///
    /// # Errors
    /// None: a record that cannot be written is logged and dropped.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        while self.fill(&mut batch).await {
            self.write(&mut batch).await;
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                tracing::warn!(dropped, "{dropped} webhook attempts were made and not recorded in time");
            }
        }
        shutdown.cancelled().await;
        Ok(())
    }

    /// Collects a batch; false at the end.
    async fn fill(&mut self, batch: &mut Vec<Entry>) -> bool {
        let Some(first) = self.entries.recv().await else { return false };
        let begun = Instant::now();
        let wait = |entry: &Entry| if entry.recorded.is_some() { BATCH_WAIT_AWAITED } else { BATCH_WAIT };
        let mut until = begun + wait(&first);
        batch.push(first);
        while batch.len() < BATCH {
            match tokio::time::timeout_at(until, self.entries.recv()).await {
                Ok(Some(entry)) => {
                    until = until.min(Instant::now() + wait(&entry));
                    batch.push(entry);
                }
                // Full time or the end: what was collected is written in either case.
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    async fn write(&self, batch: &mut Vec<Entry>) {
        let mut by_endpoint: HashMap<EndpointId, Vec<Entry>> = HashMap::new();
        for entry in batch.drain(..) {
            // A name is copied only for the first of its endpoint.
            match by_endpoint.get_mut(&entry.attempt.endpoint) {
                Some(entries) => entries.push(entry),
                None => {
                    by_endpoint.insert(entry.attempt.endpoint.clone(), vec![entry]);
                }
            }
        }
        for (endpoint, entries) in by_endpoint {
            let attempts: Vec<&Attempt> = entries.iter().map(|entry| &entry.attempt).collect();
            match self.store(&endpoint, &attempts).await {
                Ok(()) => entries.into_iter().filter_map(|entry| entry.recorded).for_each(|recorded| {
                    // Who waited may have gone on.
                    let _ = recorded.send(());
                }),
                Err(error) => {
                    tracing::warn!(endpoint.id = %endpoint, "{} webhook attempts were not recorded: {error:#}", attempts.len());
                }
            }
        }
    }

    async fn store(&self, endpoint: &EndpointId, attempts: &[&Attempt]) -> anyhow::Result<()> {
        let payload = serde_json::to_vec(attempts).context("failed to write attempts as JSON")?;
        let mut headers = async_nats::HeaderMap::new();
        // A batch whose acknowledgement was lost is stored once.
        headers.insert(header::EVENT_ID, EventId::random().as_str());
        let message =
            super::store::Message { subject: subject::deliveries(endpoint), headers, payload: payload.into() };
        super::store::store_within_tries(&self.broker, &message, TRIES).await
    }
}
