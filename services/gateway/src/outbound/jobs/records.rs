//! The records of jobs, in a bucket. The gateway that holds the session writes them, and every service reads them.

use anyhow::Context as _;
use async_nats::jetstream::kv::{CreateErrorKind, Store};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    clock,
    job::{self, JobId, JobRecord, JobState, SendJob},
    session::SessionId,
};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::timeout;

/// The bucket answers in milliseconds, unless NATS is in trouble.
const WITHIN: Duration = Duration::from_secs(4);

#[derive(Clone)]
pub struct JobRecords {
    broker: Broker,
    session: SessionId,
}

impl JobRecords {
    pub fn new(broker: Broker, session: SessionId) -> Self {
        Self { broker, session }
    }

    pub async fn find(&self, id: &JobId) -> anyhow::Result<Option<JobRecord>> {
        with_deadline(async {
            let entry = self
                .open_bucket()
                .await?
                .get(id.record_key(&self.session))
                .await
                .context("failed to read a job's record")?;
            entry.map(|entry| serde_json::from_slice(&entry).context("a job's record is unreadable")).transpose()
        })
        .await
    }

    /// The record of a job. Makes it if there is none.
    pub async fn find_or_create(&self, job: &SendJob, now: OffsetDateTime) -> anyhow::Result<JobRecord> {
        let fresh = new_record(job, &self.session, now);
        let made = with_deadline(async {
            let record = serde_json::to_vec(&fresh)?;
            match self.open_bucket().await?.create(job.id.record_key(&self.session), record.into()).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error).context("failed to make a job's record"),
            }
        })
        .await?;
        if made { Ok(fresh) } else { self.find(&job.id).await?.context("a job's record vanished") }
    }

    /// Makes the record of a job that starts over, whatever the old one says.
    pub async fn recreate(&self, job: &SendJob, now: OffsetDateTime) -> anyhow::Result<JobRecord> {
        let mut record = new_record(job, &self.session, now);
        with_deadline(async {
            self.open_bucket().await?.delete(job.id.cancel_key(&self.session)).await?;
            Ok(())
        })
        .await?;
        self.save(&mut record).await?;
        Ok(record)
    }

    pub async fn save(&self, record: &mut JobRecord) -> anyhow::Result<()> {
        record.updated_at = clock::iso(clock::now());
        with_deadline(async {
            let stored = serde_json::to_vec(record)?;
            self.open_bucket().await?.put(record.id.record_key(&self.session), stored.into()).await?;
            Ok(())
        })
        .await
    }

    /// Marks a job as cancelled. The mark has a key of its own, because the running job rewrites its record all the
    /// time.
    pub async fn mark_cancelled(&self, id: &JobId) -> anyhow::Result<()> {
        with_deadline(async {
            self.open_bucket().await?.put(id.cancel_key(&self.session), "".into()).await?;
            Ok(())
        })
        .await
    }

    pub async fn is_cancelled(&self, id: &JobId) -> anyhow::Result<bool> {
        with_deadline(async { Ok(self.open_bucket().await?.get(id.cancel_key(&self.session)).await?.is_some()) }).await
    }

    async fn open_bucket(&self) -> anyhow::Result<Store> {
        self.broker.expiring_bucket(job::BUCKET, job::RECORD_LASTS).await
    }
}

async fn with_deadline<T>(asked: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    timeout(WITHIN, asked).await.context("NATS did not answer")?
}

/// The record of a job that has not started.
fn new_record(job: &SendJob, session: &SessionId, now: OffsetDateTime) -> JobRecord {
    let waits = job.send_at.as_deref().and_then(clock::parse).is_some_and(|at| at > now);
    JobRecord {
        id: job.id.clone(),
        name: job.name.clone(),
        session: session.clone(),
        state: if waits { JobState::Scheduled } else { JobState::Running },
        total: job.items.len(),
        sent: 0,
        failed: 0,
        created_at: job.created_at.clone(),
        updated_at: clock::iso(now),
        send_at: job.send_at.clone(),
        until: job.send_at.clone().filter(|_| waits),
        reason: None,
        failures: Vec::new(),
        request: job.fingerprint(),
    }
}
