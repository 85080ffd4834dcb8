//! Runs one job from its recorded progress to its end, or until it has to wait.

use super::{
    job_event,
    queue::{JobQueue, build_item},
};
use crate::outbound::{
    SendPipeline,
    outcome::{Deferral, SendOutcome},
    pacing::SendPriority,
};
use kurir_chassis::shutdown::CancellationToken;
use kurir_contract::{
    clock,
    command::{CommandErrorCode, QueuedSend, WaitReason},
    job::{FAILURES_KEPT, ItemFailure, JobRecord, JobState, SendJob},
};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;

/// What to do with the job's message in OUTBOX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobRunEnd {
    /// The job has ended, or waits as another message.
    Settled,
    /// The gateway stops.
    GivenBack,
}

/// The result of one message.
enum ItemOutcome {
    Sent,
    Failed(ItemFailure),
    Deferred(Deferral, Option<QueuedSend>),
    /// NATS or WhatsApp was away. Try the same message again.
    NotTried,
}

/// How often a job looks whether a session that was logged out is back.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A job that could not go on for this long is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The pause between two tries while NATS is away.
const PAUSE: Duration = Duration::from_millis(500);
/// The shortest time between two progress events of a job.
const TOLD_EVERY: Duration = Duration::from_secs(1);

pub struct JobRun<'a> {
    pub queue: &'a JobQueue,
    pub outbound: &'a SendPipeline,
    pub job: &'a SendJob,
    pub stopping: &'a CancellationToken,
}

impl JobRun<'_> {
    /// # Errors
    /// If NATS is away and the job cannot wait for it. The job comes again.
    pub async fn run(&self) -> anyhow::Result<JobRunEnd> {
        let mut record = self.queue.records.find_or_create(self.job, clock::now()).await?;
        if record.state.is_end() {
            return Ok(JobRunEnd::Settled);
        }
        if record.state != JobState::Running {
            record.state = JobState::Running;
            (record.until, record.reason) = (None, None);
            self.queue.records.save(&mut record).await?;
        }
        let mut told: Option<Instant> = None;
        while record.next_index() < record.total {
            if self.stopping.is_cancelled() {
                return Ok(JobRunEnd::GivenBack);
            }
            if self.queue.records.is_cancelled(&self.job.id).await? {
                self.queue.end_job(record, JobState::Cancelled, None).await?;
                return Ok(JobRunEnd::Settled);
            }
            if let Some(until) = self.own_time(record.next_index()).filter(|at| *at > clock::now()) {
                return self.defer_job(record, Deferral { until, reason: WaitReason::Scheduled }, None).await;
            }
            // A job waits until the connection is back, however long that takes.
            tokio::select! {
                () = self.outbound.sender.wait_until_settled() => {}
                () = self.stopping.cancelled() => return Ok(JobRunEnd::GivenBack),
            }
            match self.send_item(record.next_index()).await {
                ItemOutcome::Sent => record.sent += 1,
                ItemOutcome::Failed(failure) => {
                    record.failed += 1;
                    if record.failures.len() < FAILURES_KEPT {
                        record.failures.push(failure);
                    }
                }
                ItemOutcome::Deferred(..) if self.stopping.is_cancelled() => return Ok(JobRunEnd::GivenBack),
                ItemOutcome::Deferred(held, queued) => return self.defer_job(record, held, queued).await,
                ItemOutcome::NotTried => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            self.save_record(&mut record).await?;
            if job_event::completes_a_tenth(record.next_index(), record.total)
                && told.is_none_or(|told| told.elapsed() >= TOLD_EVERY)
            {
                told = Some(Instant::now());
                self.queue.publish_progress(&record).await;
            }
        }
        self.queue.end_job(record, JobState::Done, None).await?;
        Ok(JobRunEnd::Settled)
    }

    /// The time before which a send of the job does not go out, if it has one of its own.
    fn own_time(&self, index: usize) -> Option<OffsetDateTime> {
        self.job.items.get(index)?.send_at.as_deref().and_then(clock::parse)
    }

    async fn send_item(&self, index: usize) -> ItemOutcome {
        let Some(item) = self.job.items.get(index) else { return ItemOutcome::NotTried };
        let mut outgoing = match build_item(item) {
            Ok(outgoing) => outgoing,
            // The item was valid when the job was submitted. Another version of the gateway may judge it differently.
            Err(refusal) => return ItemOutcome::Failed(ItemFailure { index, to: None, error: refusal.message }),
        };
        let to = outgoing.to.clone();
        let key = outgoing.key.get_or_insert_with(|| self.job.id.item_key(index)).clone();
        match self.outbound.send(outgoing, None, SendPriority::Job).await {
            SendOutcome::Done(done) => {
                if let Some(event) = &done.event {
                    self.outbound.publish_event(event).await;
                }
                match done.answer {
                    Ok(_) => ItemOutcome::Sent,
                    Err(_) if self.outbound.sender.waits_for_storage() => ItemOutcome::NotTried,
                    Err(refusal) if refusal.code == CommandErrorCode::NotConnected => {
                        let until = clock::now() + LOOK_AGAIN;
                        ItemOutcome::Deferred(Deferral { until, reason: WaitReason::NotConnected }, None)
                    }
                    // Try the same message again when there is a connection.
                    Err(refusal)
                        if refusal.code == CommandErrorCode::TimedOut && !self.outbound.sender.is_connected() =>
                    {
                        ItemOutcome::NotTried
                    }
                    // The keys could not be stored, so it did not go out.
                    Err(refusal) if refusal.code == CommandErrorCode::StorageUnavailable => ItemOutcome::NotTried,
                    Err(refusal) => ItemOutcome::Failed(ItemFailure { index, to: Some(to), error: refusal.message }),
                }
            }
            SendOutcome::Deferred(held) => {
                let queued = QueuedSend {
                    job_id: self.job.id.clone(),
                    message_id: key.message_id(self.outbound.session()),
                    to,
                    until: clock::iso(held.until),
                    reason: held.reason,
                };
                ItemOutcome::Deferred(held, Some(queued))
            }
            SendOutcome::NotTried(_) => ItemOutcome::NotTried,
        }
    }

    async fn defer_job(
        &self,
        mut record: JobRecord,
        held: Deferral,
        queued: Option<QueuedSend>,
    ) -> anyhow::Result<JobRunEnd> {
        let begun = [self.job.send_at.as_deref(), Some(self.job.created_at.as_str())];
        let begun = begun.into_iter().flatten().filter_map(clock::parse).max().max(self.own_time(record.next_index()));
        if held.reason == WaitReason::NotConnected && begun.is_some_and(|begun| clock::now() - begun > GIVEN_UP_AFTER) {
            self.queue.end_job(record, JobState::Failed, Some(held.reason.as_str())).await?;
            return Ok(JobRunEnd::Settled);
        }
        self.queue.defer_job(self.job, &mut record, held).await?;
        if let Some(queued) = queued.filter(|_| record.state == JobState::Queued) {
            self.queue.publish_queued(&queued).await;
        }
        Ok(JobRunEnd::Settled)
    }

    /// Saves the record before the next message, however long it takes: a message without a record is sent again.
    async fn save_record(&self, record: &mut JobRecord) -> anyhow::Result<()> {
        while let Err(error) = self.queue.records.save(record).await {
            if self.stopping.is_cancelled() {
                return Err(error);
            }
            tracing::debug!(job.id = %self.job.id, "the progress of a job is not stored yet: {error:#}");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}
