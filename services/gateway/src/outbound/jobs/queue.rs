//! Stores jobs in OUTBOX, and takes them out again before their time.

use super::{job_event, records::JobRecords};
use crate::{
    outbound::{EVENT_WITHIN, content::MessageToSend, outcome::Deferral},
    publish::EventPublisher,
};
use anyhow::Context as _;
use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    clock,
    command::{Command, CommandError, CommandErrorCode, QueuedSend, build_send},
    header,
    job::{self, JobId, JobItem, JobRecord, JobState, SendJob},
    session::SessionId,
    stream, subject,
};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

/// The jobs of one session.
#[derive(Clone)]
pub struct JobQueue {
    pub(super) records: JobRecords,
    session: SessionId,
    broker: Broker,
    publisher: EventPublisher,
}

/// Jobs that wait or run in the whole stream. With their largest size they take some gigabytes.
const MOST_JOBS: u64 = 10_000;
/// NATS stores a message in milliseconds, unless it is in trouble.
const WITHIN: Duration = Duration::from_secs(4);

impl JobQueue {
    #[must_use]
    pub fn new(session: SessionId, broker: Broker, publisher: EventPublisher) -> Self {
        Self { records: JobRecords::new(broker.clone(), session.clone()), session, broker, publisher }
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
            self.store_job(&job, at.filter(|at| *at > now), true).await?;
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

    /// Keeps a single message that cannot be sent now, as a job of one message.
    ///
    /// # Errors
    /// If NATS did not store the message. Then it is not sent.
    pub async fn defer_message(
        &self,
        command: Command,
        arguments: &[u8],
        outgoing: &MessageToSend,
        held: Deferral,
    ) -> Result<QueuedSend, CommandError> {
        let key = outgoing.key.as_ref();
        let id = key.map_or_else(JobId::random, |key| JobId::from_key(&self.session, key));
        let arguments = serde_json::from_slice(arguments).map_err(|error| {
            CommandError::new(CommandErrorCode::Internal, format!("the message cannot be kept: {error}"))
        })?;
        let now = clock::now();
        let job = SendJob {
            id: id.clone(),
            name: None,
            created_at: clock::iso(now),
            send_at: None,
            items: vec![JobItem { command: command.as_str().to_owned(), arguments, send_at: None }],
        };
        let stored = async {
            let mut record = self.records.find_or_create(&job, now).await?;
            if record.state.is_end() {
                // The same key again, for example after its job was cancelled.
                record = self.records.recreate(&job, now).await?;
            }
            mark_deferred(&mut record, held);
            self.records.save(&mut record).await?;
            // Last: after a crash before it, the caller has no answer and asks again.
            self.store_job(&job, Some(held.until).filter(|at| *at > now), false).await
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
        let queued = QueuedSend {
            job_id: id,
            message_id,
            to: outgoing.to.clone(),
            until: clock::iso(held.until),
            reason: held.reason,
        };
        self.publish_queued(&queued).await;
        Ok(queued)
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
        self.store_job(job, Some(held.until), false).await?;
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

    pub(super) async fn publish_queued(&self, queued: &QueuedSend) {
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

    /// A subject has one schedule, so a repeat replaces it.
    async fn store_job(&self, job: &SendJob, at: Option<OffsetDateTime>, once: bool) -> anyhow::Result<()> {
        let mut headers = HeaderMap::new();
        trace_context::inject(&mut headers);
        let due = subject::due_job(&self.session, &job.id);
        let subject = match at {
            Some(at) => {
                headers.insert(header::SCHEDULE, format!("@at {}", clock::iso(at)));
                headers.insert(header::SCHEDULE_TARGET, due);
                subject::waiting_job(&self.session, &job.id)
            }
            None => due,
        };
        if once && at.is_none() {
            headers.insert(header::EVENT_ID, job.id.as_str());
        }
        let message = PublishMessage::build().headers(headers).payload(serde_json::to_vec(job)?.into());
        anyhow::ensure!(self.broker.is_connected(), "no connection to NATS");
        let stored = async { anyhow::Ok(self.broker.jetstream.send_publish(subject, message).await?.await?) };
        timeout(WITHIN, stored).await.context("NATS did not answer")?.context("failed to store a job")?;
        Ok(())
    }

    /// Removes a waiting job. Gives whether there was one.
    async fn remove_waiting(&self, id: &JobId) -> anyhow::Result<bool> {
        let taken = async {
            let outbox = self.broker.jetstream.get_stream(stream::OUTBOX).await?;
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
