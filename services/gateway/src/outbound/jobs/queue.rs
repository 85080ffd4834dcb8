//! Stores jobs in OUTBOX, and takes them out again before their time.

use super::{job_event, records::JobRecords};
use crate::{
    outbound::{EVENT_WITHIN, content::MessageToSend, outcome::Deferral},
    publish::EventPublisher,
    storage::StorageProblem,
};
use anyhow::Context as _;
use kurir_chassis::{
    broker::Broker,
    publish::{OutgoingMessage, PublishError},
};
use kurir_contract::{
    clock,
    command::{Command, CommandError, CommandErrorCode, IdempotencyKey, QueuedSend, build_send},
    header,
    job::{self, JobId, JobItem, JobRecord, JobState, SendJob},
    session::SessionId,
    stream, subject,
};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

/// The jobs of one session.
#[derive(Clone)]
pub struct JobQueue {
    pub(super) records: JobRecords,
    session: SessionId,
    broker: Broker,
    publisher: EventPublisher,
    /// Tells the intents of this gateway from those of an earlier one.
    gateway: Arc<str>,
}

/// Jobs that wait or run in the whole stream. With their largest size they take some gigabytes.
const MOST_JOBS: u64 = 10_000;
/// NATS stores a message in milliseconds, unless it is in trouble.
const WITHIN: Duration = Duration::from_secs(4);

impl JobQueue {
    #[must_use]
    pub fn new(session: SessionId, broker: Broker, publisher: EventPublisher) -> Self {
        let records = JobRecords::new(broker.clone(), session.clone());
        let gateway = format!("{:016x}", rand::random::<u64>()).into();
        Self { records, session, broker, publisher, gateway }
    }

    /// Stores a job. If the job is stored already, gives its record.
    ///
    /// # Errors
    /// If one of the messages is not valid, if another job has the same id, or if NATS did not store the job.
    pub async fn submit_job(&self, job: SendJob) -> Result<JobRecord, CommandError> {
        let now = clock::now();
        let at = validate_job(&job, now)?;
        let stored = async {
            if let Some(record) = self.records.find(&job.id).await? {
                return anyhow::Ok(Ok(record));
            }
            if self.count_jobs().await? >= MOST_JOBS {
                let text = format!("{MOST_JOBS} jobs wait already: cancel some, or wait until they are done");
                return Ok(Err(CommandError::new(CommandErrorCode::Conflict, text)));
            }
            // First: after a crash here the job has no record, and makes one itself.
            self.store_job(&job, at.filter(|at| *at > now), JobMark::Once).await?;
            Ok(Ok(self.records.find_or_create(&job, now).await?))
        };
        let record = stored.await.map_err(|error| {
            tracing::warn!(job.id = %job.id, "failed to store a job: {error:#}");
            CommandError::new(CommandErrorCode::BrokerUnavailable, "NATS did not store the job; nothing was sent")
        })??;
        if record.request != job.fingerprint() {
            return Err(CommandError::new(CommandErrorCode::Conflict, "This Idempotency-Key was used for another job"));
        }
        tracing::info!(session.id = %self.session, job.id = %job.id, "a job of {} message(s) is {}", record.total, record.state.as_str());
        Ok(record)
    }

    /// Keeps a single message that cannot be sent now, as a job of one message. The event about it is the caller's to
    /// publish, after the answer.
    ///
    /// # Errors
    /// If NATS did not store the message. Then it is not sent.
    pub async fn defer_message(
        &self,
        command: Command,
        arguments: &[u8],
        outgoing: &MessageToSend,
        intent: &SendIntent,
        held: Deferral,
    ) -> Result<QueuedSend, CommandError> {
        let key = outgoing.key.as_ref();
        let id = key.map_or_else(|| intent.id.clone(), |key| JobId::from_key(&self.session, key));
        let job = single_job(&id, command, arguments)?;
        let now = clock::now();
        let at = Some(held.until).filter(|at| *at > now);
        let stored = async {
            let mut record = self.records.find_or_create(&job, now).await?;
            if record.state.is_end() {
                // The same key again, for example after its job was cancelled.
                record = self.records.recreate(&job, now).await?;
            }
            mark_deferred(&mut record, held);
            self.records.save(&mut record).await?;
            // Last: after a crash before it, the intent is there.
            self.store_job(&job, at, JobMark::None).await
        };
        stored.await.map_err(|error| {
            tracing::warn!(job.id = %id, "failed to store a deferred message: {error:#}");
            CommandError::new(
                CommandErrorCode::BrokerUnavailable,
                "The message must wait, and NATS did not store it; it was not sent",
            )
        })?;
        let key = key.cloned().unwrap_or_else(|| id.item_key(0));
        let message_id = key.message_id(&self.session);
        // The job may have replaced the intent.
        if id != intent.id || at.is_none() {
            self.end_send(intent).await;
        }
        let queued = QueuedSend {
            job_id: id,
            message_id,
            to: outgoing.to.clone(),
            until: clock::iso(held.until),
            reason: held.reason,
        };
        Ok(queued)
    }

    /// Stores that a message is about to go out, and under which id. If the gateway ends before the send has ended, the
    /// next one finishes it under the same id and publishes its event; at the latest after `within` the intent becomes a
    /// job.
    ///
    /// # Errors
    /// If NATS did not store it. Then nothing may be sent.
    pub async fn begin_send(
        &self,
        command: Command,
        arguments: &[u8],
        outgoing: &MessageToSend,
        within: Duration,
    ) -> Result<SendIntent, CommandError> {
        // An id of its own: under the key's id there may be a job that waits.
        let id = JobId::random();
        let job = single_job(&id, command, arguments)?;
        let at = clock::now() + within;
        self.publish_job(&job, Some(at), JobMark::Intent).await.map_err(|error| {
            tracing::warn!("failed to store that a message is about to go out: {error}");
            let unavailable =
                || CommandError::new(CommandErrorCode::BrokerUnavailable, "NATS stores nothing; nothing was sent");
            StorageProblem::of_publish(&error).map_or_else(unavailable, |problem| problem.to_command_error())
        })?;
        let key = outgoing.key.clone().unwrap_or_else(|| id.item_key(0));
        Ok(SendIntent { message_id: key.message_id(&self.session), key, id })
    }

    /// Removes what [`begin_send`](Self::begin_send) stored: the send has ended, and its event is stored.
    pub async fn end_send(&self, intent: &SendIntent) {
        if let Err(error) = self.remove_waiting(&intent.id).await {
            // Then the message goes out once more, under the same id.
            tracing::warn!("failed to remove the intent of a send that has ended: {error:#}");
        }
    }

    /// Whether a send that has begun is one of this gateway, by the value of its header.
    pub(super) fn is_own_intent(&self, gateway: &str) -> bool {
        gateway == &*self.gateway
    }

    /// Lets a job begin that waits. A repeat is dropped, because a running job is known by its id.
    pub(super) async fn make_due(&self, job: &SendJob) -> anyhow::Result<()> {
        self.store_job(job, None, JobMark::Once).await?;
        self.remove_waiting(&job.id).await.map(drop)
    }

    /// Cancels a job: at once if it waits, before its next message if it runs.
    ///
    /// # Errors
    /// If there is no such job, or NATS did not answer.
    pub async fn cancel_job(&self, id: &JobId) -> Result<JobRecord, CommandError> {
        let cancelled = async {
            let Some(record) = self.records.find(id).await? else { return Ok(None) };
            if record.state.is_end() {
                return Ok(Some(record));
            }
            self.records.mark_cancelled(id).await?;
            if self.remove_waiting(id).await? {
                return self.end_job(record, JobState::Cancelled, None).await.map(Some);
            }
            // The job runs, or is about to, and reads the mark before its next message.
            anyhow::Ok(Some(record))
        };
        match cancelled.await {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(CommandError::invalid("there is no such job")),
            Err(error) => {
                tracing::warn!(job.id = %id, "failed to cancel a job: {error:#}");
                Err(CommandError::new(
                    CommandErrorCode::BrokerUnavailable,
                    "NATS did not answer; whether the job is cancelled is unknown",
                ))
            }
        }
    }

    /// Defers a job that has started. The job may have been cancelled meanwhile.
    pub(super) async fn defer_job(&self, job: &SendJob, record: &mut JobRecord, held: Deferral) -> anyhow::Result<()> {
        self.store_job(job, Some(held.until), JobMark::None).await?;
        mark_deferred(record, held);
        self.records.save(record).await?;
        if self.records.is_cancelled(&job.id).await? && self.remove_waiting(&job.id).await? {
            *record = self.end_job(record.clone(), JobState::Cancelled, None).await?;
        }
        Ok(())
    }

    /// Records the end of a job and publishes it. The event's id is made from the job, so that a repeat after a crash
    /// is stored once.
    pub(super) async fn end_job(
        &self,
        mut record: JobRecord,
        state: JobState,
        reason: Option<&str>,
    ) -> anyhow::Result<JobRecord> {
        record.state = state;
        record.until = None;
        record.reason = reason.map(str::to_owned);
        if let Some(event) = job_event::end_event(&record, clock::now()) {
            self.publisher.publish(&event, Instant::now() + EVENT_WITHIN).await?;
        }
        self.records.save(&mut record).await?;
        tracing::info!(session.id = %self.session, job.id = %record.id, "a job is {}: {} sent, {} failed", state.as_str(), record.sent, record.failed);
        Ok(record)
    }

    /// Ends a job that is no longer in OUTBOX.
    pub(super) async fn end_lost(&self, record: JobRecord) -> anyhow::Result<()> {
        self.publisher.metrics.count_lost_job();
        self.end_job(record, JobState::Failed, Some("lost")).await.map(drop)
    }

    /// Publishes the event about a message that waits.
    pub async fn publish_queued(&self, queued: &QueuedSend) {
        let event = job_event::queued_event(&self.session, queued, clock::now());
        if let Err(error) = self.publisher.publish(&event, Instant::now() + EVENT_WITHIN).await {
            tracing::error!(event.id = %event.id, "the event about a message that waits was lost: {error}");
        }
    }

    pub(super) async fn publish_progress(&self, record: &JobRecord) {
        let event = job_event::progress_event(record, clock::now());
        if let Err(error) = self.publisher.publish(&event, Instant::now() + WITHIN).await {
            tracing::debug!(event.id = %event.id, "the progress event of a job was not published: {error}");
        }
    }

    async fn store_job(&self, job: &SendJob, at: Option<OffsetDateTime>, mark: JobMark) -> anyhow::Result<()> {
        self.publish_job(job, at, mark).await.context("failed to store a job")
    }

    /// A subject has one schedule, so a repeat replaces it.
    async fn publish_job(&self, job: &SendJob, at: Option<OffsetDateTime>, mark: JobMark) -> Result<(), PublishError> {
        let due = subject::due_job(&self.session, &job.id);
        let payload = serde_json::to_vec(job).map_err(|error| PublishError::Refused(error.to_string()))?;
        let message = match at {
            Some(at) => OutgoingMessage::new(subject::waiting_job(&self.session, &job.id), payload)
                .with_header(header::SCHEDULE, format!("@at {}", clock::iso(at)).as_str())
                .with_header(header::SCHEDULE_TARGET, due.as_str()),
            None => OutgoingMessage::new(due, payload),
        };
        let message = match mark {
            JobMark::Once if at.is_none() => message.with_id(job.id.as_str()),
            JobMark::Intent => message.with_header(header::SEND_INTENT, &*self.gateway),
            JobMark::Once | JobMark::None => message,
        };
        self.broker.publish_once(&message.with_trace_context()).await.map(drop)
    }

    /// Removes a waiting job. Gives whether there was one.
    async fn remove_waiting(&self, id: &JobId) -> anyhow::Result<bool> {
        let taken = async {
            let outbox = self.broker.jetstream.get_stream_no_info(stream::OUTBOX).await?;
            let purged = outbox.purge().filter(subject::waiting_job(&self.session, id)).await?;
            anyhow::Ok(purged.purged > 0)
        };
        timeout(WITHIN, taken).await.context("NATS did not answer")?
    }

    async fn count_jobs(&self) -> anyhow::Result<u64> {
        let asked =
            async { anyhow::Ok(self.broker.jetstream.get_stream(stream::OUTBOX).await?.cached_info().state.messages) };
        timeout(WITHIN, asked).await.context("NATS did not answer")?
    }
}

/// A message that is about to go out, as OUTBOX knows it.
#[derive(Clone, Debug)]
pub struct SendIntent {
    id: JobId,
    /// The key of the message: the caller's, or the one of its job.
    pub key: IdempotencyKey,
    pub message_id: String,
}

/// What a job in OUTBOX says besides its sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobMark {
    None,
    /// Within the duplicate window the job is stored once.
    Once,
    /// The job is a send that has begun.
    Intent,
}

fn single_job(id: &JobId, command: Command, arguments: &[u8]) -> Result<SendJob, CommandError> {
    let arguments = serde_json::from_slice(arguments).map_err(|error| {
        CommandError::new(CommandErrorCode::Internal, format!("the message cannot be kept: {error}"))
    })?;
    Ok(SendJob {
        id: id.clone(),
        name: None,
        created_at: clock::iso(clock::now()),
        send_at: None,
        items: vec![JobItem { command: command.as_str().to_owned(), arguments, send_at: None }],
    })
}

fn mark_deferred(record: &mut JobRecord, held: Deferral) {
    record.state = JobState::Queued;
    record.until = Some(clock::iso(held.until));
    record.reason = Some(held.reason.as_str().to_owned());
}

/// The time at which the job is to start. None: now.
fn validate_job(job: &SendJob, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, CommandError> {
    if job.items.is_empty() || job.items.len() > job::MOST_ITEMS {
        return Err(CommandError::invalid(format!("a job has 1 to {} messages", job::MOST_ITEMS)));
    }
    for (index, item) in job.items.iter().enumerate() {
        let wrong = |text: &str| CommandError::invalid(format!("Message at index {index}: {text}"));
        build_item(item).map_err(|refused| wrong(&refused.message))?;
        let at = item.send_at.as_deref().map(clock::parse);
        if at.is_some_and(|at| at.is_none_or(|at| at > now + job::LATEST)) {
            return Err(wrong("sendAt must be a time in ISO 8601, at most 30 days ahead"));
        }
    }
    let Some(at) = &job.send_at else { return Ok(None) };
    let at = clock::parse(at)
        .ok_or_else(|| CommandError::invalid("sendAt must be a time in ISO 8601, as 2026-11-24T13:00:00Z"))?;
    if at > now + job::LATEST {
        return Err(CommandError::invalid("sendAt must be at most 30 days ahead"));
    }
    Ok(Some(at))
}

/// Builds one message of a job.
pub(super) fn build_item(item: &JobItem) -> Result<MessageToSend, CommandError> {
    let command = item.command().map_err(|error| CommandError::invalid(error.to_string()))?;
    build_send(command, item.arguments.to_string().as_bytes())
}
