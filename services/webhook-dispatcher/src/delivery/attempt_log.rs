//! The record of every attempt: DELIVERIES, in batches.
//!
//! One message an attempt would cost a quarter of the throughput, up to 64 in one cost nothing. A message is
//! acknowledged when its attempt is on record, so a dispatcher that is killed leaves no event that was settled and is
//! not in the record: the ledger adds up. Its slot is free meanwhile.

use crate::jetstream::{
    pending_message::PendingMessage,
    publish::{self, OutgoingMessage},
};
use anyhow::Context as _;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::{delivery::AttemptRecord, endpoint::EndpointId, event::EventId, header, subject};
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Attempts in one message. With a kilobyte of an answer each they are far below NATS' 1 MB.
const BATCH: usize = 64;
/// How long a batch waits to become full.
const BATCH_WAIT: Duration = Duration::from_millis(50);
/// Attempts that wait to be written. NATS hands out nothing while it cannot take records either, so these are a
/// hiccup's worth; beyond them deliveries wait.
const QUEUE: usize = 4_096;
/// Tries to write one batch.
const TRIES: u32 = 3;

/// Where attempts are handed in.
#[derive(Clone)]
pub struct AttemptLog {
    entries: mpsc::Sender<LogEntry>,
}

/// The task that writes them.
pub struct AttemptRecorder {
    broker: Broker,
    entries: mpsc::Receiver<LogEntry>,
}

struct LogEntry {
    attempt: AttemptRecord,
    then: AfterRecord,
}

/// What follows when it is on record.
enum AfterRecord {
    Acknowledge(PendingMessage),
    /// Its message goes back to the broker.
    GiveBack(PendingMessage),
    /// Whoever waits for it is told.
    Tell(oneshot::Sender<()>),
}

#[must_use]
pub fn open(broker: Broker) -> (AttemptLog, AttemptRecorder) {
    let (sender, entries) = mpsc::channel(QUEUE);
    (AttemptLog { entries: sender }, AttemptRecorder { broker, entries })
}

impl AttemptLog {
    /// Hands it in and goes on; the message is acknowledged when it is on record.
    pub async fn acknowledge(&self, attempt: AttemptRecord, pending: PendingMessage) {
        self.hand_in(attempt, AfterRecord::Acknowledge(pending)).await;
    }

    /// The same, and the message is given back.
    pub async fn give_back(&self, attempt: AttemptRecord, pending: PendingMessage) {
        self.hand_in(attempt, AfterRecord::GiveBack(pending)).await;
    }

    /// Hands it in; what is given back ends when it is on record. Whoever does not need to know drops that.
    pub async fn write(&self, attempt: AttemptRecord) -> oneshot::Receiver<()> {
        let (tell, result) = oneshot::channel();
        self.hand_in(attempt, AfterRecord::Tell(tell)).await;
        result
    }

    async fn hand_in(&self, attempt: AttemptRecord, then: AfterRecord) {
        // The recorder outlives every delivery; were it gone, the message would be given back.
        let _ = self.entries.send(LogEntry { attempt, then }).await;
    }
}

impl AttemptRecorder {
    /// Writes until all who could hand in an attempt are gone, so it ends after the last delivery.
    ///
    /// # Errors
    /// None: a record that cannot be written is logged and dropped.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        while self.fill(&mut batch).await {
            self.write(&mut batch).await;
        }
        shutdown.cancelled().await;
        Ok(())
    }

    /// Collects a batch; false at the end.
    async fn fill(&mut self, batch: &mut Vec<LogEntry>) -> bool {
        let Some(first) = self.entries.recv().await else { return false };
        let until = Instant::now() + BATCH_WAIT;
        batch.push(first);
        while batch.len() < BATCH {
            match tokio::time::timeout_at(until, self.entries.recv()).await {
                Ok(Some(entry)) => batch.push(entry),
                // Full time or the end: what was collected is written in either case.
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    async fn write(&self, batch: &mut Vec<LogEntry>) {
        let mut by_endpoint: HashMap<EndpointId, Vec<LogEntry>> = HashMap::new();
        for entry in batch.drain(..) {
            // A name is copied only for the first of its endpoint.
            match by_endpoint.get_mut(&entry.attempt.endpoint) {
                Some(entries) => entries.push(entry),
                None => {
                    by_endpoint.insert(entry.attempt.endpoint.clone(), vec![entry]);
                }
            }
        }
        let written = by_endpoint.into_iter().map(|(endpoint, entries)| self.write_one(endpoint, entries));
        futures::future::join_all(written).await;
    }

    async fn write_one(&self, endpoint: EndpointId, entries: Vec<LogEntry>) {
        let attempts: Vec<&AttemptRecord> = entries.iter().map(|entry| &entry.attempt).collect();
        if let Err(error) = self.store(&endpoint, &attempts).await {
            // Delivering goes first: what was delivered is not delivered again for the sake of its record.
            tracing::warn!(endpoint.id = %endpoint, "{} webhook attempts were not recorded: {error:#}", attempts.len());
        }
        for entry in entries {
            match entry.then {
                AfterRecord::Acknowledge(pending) => pending.acknowledge().await,
                AfterRecord::GiveBack(pending) => drop(pending),
                // Nobody may be waiting.
                AfterRecord::Tell(tell) => drop(tell.send(())),
            }
        }
    }

    async fn store(&self, endpoint: &EndpointId, attempts: &[&AttemptRecord]) -> anyhow::Result<()> {
        let payload = serde_json::to_vec(attempts).context("failed to write attempts as JSON")?;
        let mut headers = async_nats::HeaderMap::new();
        // A batch whose acknowledgement was lost is stored once.
        headers.insert(header::EVENT_ID, EventId::random().as_str());
        let message = OutgoingMessage { subject: subject::deliveries(endpoint), headers, payload: payload.into() };
        publish::store_within_tries(&self.broker, &message, TRIES).await
    }
}
