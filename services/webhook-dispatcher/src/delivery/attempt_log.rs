//! Records every attempt in DELIVERIES, in batches.
//!
//! One message for each attempt would cost a quarter of the throughput; up to 64 in one message cost nothing. A message
//! is acknowledged when its attempt is recorded, so that a dispatcher that is killed leaves no settled event without a
//! record, and the ledger adds up. The message takes no room for deliveries meanwhile.

use crate::jetstream::pending_message::PendingMessage;
use anyhow::Context as _;
use kurir_chassis::{broker::Broker, publish::OutgoingMessage, shutdown::CancellationToken};
use kurir_contract::{delivery::AttemptRecord, endpoint::EndpointId, event::EventId, header, subject};
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Attempts in one message. With a kilobyte of an answer in each, they are far below NATS' limit of 1 MB.
const BATCH: usize = 64;
/// How long a batch waits to become full.
const BATCH_WAIT: Duration = Duration::from_millis(50);
/// Attempts that wait to be recorded. Beyond this number deliveries wait. NATS hands out nothing while it cannot store
/// records, so this covers a short pause.
const QUEUE: usize = 4_096;
/// The time to store a batch. An outage of NATS that is shorter leaves no gap in the record.
const STORE_TIMEOUT: Duration = Duration::from_secs(60);

/// Hands attempts to the recorder.
#[derive(Clone)]
pub struct AttemptLog {
    entries: mpsc::Sender<LogEntry>,
}

/// The task that records them.
pub struct AttemptRecorder {
    broker: Broker,
    entries: mpsc::Receiver<LogEntry>,
}

struct LogEntry {
    attempt: AttemptRecord,
    then: AfterRecord,
}

/// What follows when the attempt is recorded.
enum AfterRecord {
    Acknowledge(PendingMessage),
    /// Gives the message back to NATS.
    GiveBack(PendingMessage),
    /// Notifies the caller.
    Notify(oneshot::Sender<()>),
}

#[must_use]
pub fn open_attempt_log(broker: Broker) -> (AttemptLog, AttemptRecorder) {
    let (sender, entries) = mpsc::channel(QUEUE);
    (AttemptLog { entries: sender }, AttemptRecorder { broker, entries })
}

impl AttemptLog {
    /// Hands in an attempt. Its message is acknowledged when the attempt is recorded.
    pub async fn record_and_acknowledge(&self, attempt: AttemptRecord, pending: PendingMessage) {
        self.enqueue(attempt, AfterRecord::Acknowledge(pending)).await;
    }

    /// Hands in an attempt. Its message is given back when the attempt is recorded.
    pub async fn record_and_give_back(&self, attempt: AttemptRecord, pending: PendingMessage) {
        self.enqueue(attempt, AfterRecord::GiveBack(pending)).await;
    }

    /// Hands in an attempt. The returned receiver resolves when it is recorded; a caller that does not need to know
    /// drops it.
    pub async fn record(&self, attempt: AttemptRecord) -> oneshot::Receiver<()> {
        let (notify, notified) = oneshot::channel();
        self.enqueue(attempt, AfterRecord::Notify(notify)).await;
        notified
    }

    async fn enqueue(&self, attempt: AttemptRecord, then: AfterRecord) {
        // The recorder outlives every delivery. If it were gone, the message would be given back.
        let _ = self.entries.send(LogEntry { attempt, then }).await;
    }
}

impl AttemptRecorder {
    /// Records until all senders are gone, so it ends after the last delivery.
    ///
    /// # Errors
    /// None: a record that cannot be stored is logged and dropped.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        while self.collect_batch(&mut batch).await {
            self.write_batch(&mut batch).await;
        }
        shutdown.cancelled().await;
        Ok(())
    }

    /// Collects a batch; false at the end.
    async fn collect_batch(&mut self, batch: &mut Vec<LogEntry>) -> bool {
        let Some(first) = self.entries.recv().await else { return false };
        let until = Instant::now() + BATCH_WAIT;
        batch.push(first);
        while batch.len() < BATCH {
            match tokio::time::timeout_at(until, self.entries.recv()).await {
                Ok(Some(entry)) => batch.push(entry),
                // The time is up, or this is the end. What was collected is stored in either case.
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    async fn write_batch(&self, batch: &mut Vec<LogEntry>) {
        let mut by_endpoint: HashMap<EndpointId, Vec<LogEntry>> = HashMap::new();
        for entry in batch.drain(..) {
            // The name is cloned only for an endpoint's first attempt.
            match by_endpoint.get_mut(&entry.attempt.endpoint) {
                Some(entries) => entries.push(entry),
                None => {
                    by_endpoint.insert(entry.attempt.endpoint.clone(), vec![entry]);
                }
            }
        }
        let written = by_endpoint.into_iter().map(|(endpoint, entries)| self.write_entries(endpoint, entries));
        futures::future::join_all(written).await;
    }

    async fn write_entries(&self, endpoint: EndpointId, entries: Vec<LogEntry>) {
        let attempts: Vec<&AttemptRecord> = entries.iter().map(|entry| &entry.attempt).collect();
        if let Err(error) = self.store(&endpoint, &attempts).await {
            // Delivering has priority: an event is not delivered again because its record could not be stored.
            tracing::warn!(endpoint.id = %endpoint, "failed to record {} webhook attempts: {error:#}", attempts.len());
        }
        for entry in entries {
            match entry.then {
                AfterRecord::Acknowledge(pending) => pending.acknowledge().await,
                AfterRecord::GiveBack(pending) => drop(pending),
                // The caller may not be waiting.
                AfterRecord::Notify(notify) => drop(notify.send(())),
            }
        }
    }

    async fn store(&self, endpoint: &EndpointId, attempts: &[&AttemptRecord]) -> anyhow::Result<()> {
        let payload = serde_json::to_vec(attempts).context("failed to write attempts as JSON")?;
        let mut headers = async_nats::HeaderMap::new();
        // A batch whose acknowledgement was lost is stored once.
        headers.insert(header::EVENT_ID, EventId::random().as_str());
        let message = OutgoingMessage { subject: subject::deliveries(endpoint), headers, payload: payload.into() };
        let stored = self.broker.publish_until_stored(&message, Instant::now() + STORE_TIMEOUT).await;
        stored.with_context(|| format!("failed to store {}", message.subject))?;
        Ok(())
    }
}
