//! Compares the records of jobs with OUTBOX: at the start of the session, and whenever one of them was lost.
//!
//! A job that is gone from OUTBOX ends as failed, so that nobody waits for it forever. A job without a record gets one
//! again. A send that an earlier gateway had begun, and not ended, becomes due.

use super::queue::JobQueue;
use crate::store_watch::StoreLossListener;
use anyhow::Context as _;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures::TryStreamExt as _;
use kurir_chassis::{backoff::Backoff, broker::Broker, shutdown::CancellationToken};
use kurir_contract::{
    clock, header,
    job::{JobId, JobRecord, JobState, SendJob},
    session::SessionId,
    stream, subject,
};
use std::{collections::BTreeSet, time::Duration};
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};

/// A job is stored and recorded in two steps, which take milliseconds.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// Time for one comparison of all jobs.
const WITHIN: Duration = Duration::from_secs(120);
/// The pauses after a comparison that failed.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));

/// Compares the jobs of one session.
pub struct JobAudit {
    pub session: SessionId,
    pub queue: JobQueue,
    pub broker: Broker,
    /// The losses of OUTBOX and of the records.
    pub losses: StoreLossListener<2>,
}

impl JobAudit {
    /// Compares until the shutdown.
    ///
    /// # Errors
    /// Never: an error is logged, and the comparison is repeated.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let all = async {
            // At the start no job runs; later those that run go on, and store their progress.
            let mut none_runs = true;
            loop {
                let mut pauses = BACKOFF.pauses();
                while let Err(error) = self.compare(none_runs).await {
                    tracing::debug!("the jobs cannot be compared with OUTBOX yet: {error:#}");
                    sleep(pauses.next_with_jitter()).await;
                }
                none_runs = false;
                self.losses.next_loss().await;
            }
        };
        shutdown.run_until_cancelled(all).await;
        Ok(())
    }

    async fn compare(&self, none_runs: bool) -> anyhow::Result<()> {
        timeout(WITHIN, async {
            self.take_over_sends().await?;
            self.end_lost_jobs(none_runs).await?;
            self.restore_records().await
        })
        .await
        .context("it took too long")?
    }

    /// Makes the sends due that an earlier gateway had begun.
    async fn take_over_sends(&self) -> anyhow::Result<()> {
        let outbox = self.open_outbox().await?;
        let waiting = self.jobs_in(&outbox, &subject::jobs_of(&self.session)[0]).await?;
        for id in waiting.difference(&self.queue.records.ids().await?) {
            let stored = read_job(&outbox, &subject::waiting_job(&self.session, id)).await?;
            if let Some((job, Some(gateway))) = stored
                && !self.queue.is_own_intent(&gateway)
            {
                tracing::info!(job.id = %id, "a send that an earlier gateway had begun is finished");
                self.queue.make_due(&job).await?;
            }
        }
        Ok(())
    }

    async fn end_lost_jobs(&self, none_runs: bool) -> anyhow::Result<()> {
        let suspects = self.lost_jobs(none_runs).await?;
        if suspects.is_empty() {
            return Ok(());
        }
        sleep(SETTLED_AFTER).await;
        for record in self.lost_jobs(none_runs).await? {
            if suspects.iter().any(|suspect| suspect.id == record.id && suspect.updated_at == record.updated_at) {
                tracing::error!(job.id = %record.id, "a job is no longer in OUTBOX and ends as failed");
                self.queue.end_lost(record).await?;
            }
        }
        Ok(())
    }

    /// The records of jobs that have not ended and are not in OUTBOX.
    async fn lost_jobs(&self, none_runs: bool) -> anyhow::Result<Vec<JobRecord>> {
        let outbox = self.open_outbox().await?;
        let mut there = self.jobs_in(&outbox, &subject::jobs_of(&self.session)[0]).await?;
        there.extend(self.jobs_in(&outbox, &subject::due_jobs(&self.session)).await?);
        let mut lost = Vec::new();
        for id in self.queue.records.ids().await?.difference(&there) {
            // A record that cannot be read belongs to another version.
            let Ok(Some(record)) = self.queue.records.find(id).await else { continue };
            let may_run = record.state == JobState::Running && !none_runs;
            if !record.state.is_end() && !may_run {
                lost.push(record);
            }
        }
        Ok(lost)
    }

    /// Makes the records of jobs that wait and have none.
    async fn restore_records(&self) -> anyhow::Result<()> {
        let outbox = self.open_outbox().await?;
        let waiting = self.jobs_in(&outbox, &subject::jobs_of(&self.session)[0]).await?;
        let records = self.queue.records.ids().await?;
        for id in waiting.difference(&records) {
            if let Some((job, None)) = read_job(&outbox, &subject::waiting_job(&self.session, id)).await? {
                tracing::warn!(job.id = %id, "a job that waits had no record and has one again");
                self.queue.records.find_or_create(&job, clock::now()).await?;
            }
        }
        Ok(())
    }

    async fn open_outbox(&self) -> anyhow::Result<Stream> {
        anyhow::ensure!(self.broker.is_connected(), "no connection to NATS");
        self.broker.jetstream.get_stream(stream::OUTBOX).await.context("failed to open OUTBOX")
    }

    /// The jobs with a message under such a subject. Only the subjects travel.
    async fn jobs_in(&self, outbox: &Stream, filter: &str) -> anyhow::Result<BTreeSet<JobId>> {
        let subjects = outbox.info_with_subjects(filter).await.context("failed to list the jobs in OUTBOX")?;
        let subjects: Vec<(String, usize)> =
            subjects.try_collect().await.context("failed to list the jobs in OUTBOX")?;
        let id = |subject: &str| JobId::try_from(subject.rsplit('.').next()?.to_owned()).ok();
        Ok(subjects.iter().filter_map(|(subject, _)| id(subject)).collect())
    }
}

/// The job under a subject, and of which gateway it is a send that has begun; none if there is none that can be read.
async fn read_job(outbox: &Stream, subject: &str) -> anyhow::Result<Option<(SendJob, Option<String>)>> {
    match outbox.get_last_raw_message_by_subject(subject).await {
        Ok(stored) => {
            let job = serde_json::from_slice(&stored.payload).ok();
            let gateway = stored.headers.get(header::SEND_INTENT).map(ToString::to_string);
            Ok(job.map(|job| (job, gateway)))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error).context("failed to read a job in OUTBOX"),
    }
}
