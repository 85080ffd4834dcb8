//! The records of jobs, in a bucket. The gateway that holds the session writes them, and every service reads them.

use anyhow::Context as _;
use bytes::Bytes;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, to_json},
};
use kurir_contract::{
    clock,
    job::{self, JobId, JobRecord, JobState, SendJob},
    session::SessionId,
};
use std::collections::BTreeSet;
use time::OffsetDateTime;

#[derive(Clone)]
pub struct JobRecords {
    bucket: Bucket,
    session: SessionId,
}

impl JobRecords {
    pub fn new(broker: Broker, session: SessionId) -> Self {
        Self { bucket: Bucket::expiring(broker, job::BUCKET, job::RECORD_LASTS), session }
    }

    pub async fn find(&self, id: &JobId) -> anyhow::Result<Option<JobRecord>> {
        Ok(self.bucket.get_json(&id.record_key(&self.session)).await?.map(|(record, _)| record))
    }

    /// The record of a job. Makes it if there is none.
    pub async fn find_or_create(&self, job: &SendJob, now: OffsetDateTime) -> anyhow::Result<JobRecord> {
        let fresh = new_record(job, &self.session, now);
        match self.bucket.create(&job.id.record_key(&self.session), to_json(&fresh)?).await {
            Ok(_) => Ok(fresh),
            Err(error) if error.is_conflict() => self.find(&job.id).await?.context("a job's record vanished"),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the record of a job that starts over, whatever the old one says.
    pub async fn recreate(&self, job: &SendJob, now: OffsetDateTime) -> anyhow::Result<JobRecord> {
        let mut record = new_record(job, &self.session, now);
        self.bucket.delete(&job.id.cancel_key(&self.session)).await?;
        self.save(&mut record).await?;
        Ok(record)
    }

    pub async fn save(&self, record: &mut JobRecord) -> anyhow::Result<()> {
        record.updated_at = clock::iso(clock::now());
        self.bucket.put(&record.id.record_key(&self.session), to_json(record)?).await?;
        Ok(())
    }

    /// Marks a job as cancelled. The mark has a key of its own, because the running job rewrites its record all the
    /// time.
    pub async fn mark_cancelled(&self, id: &JobId) -> anyhow::Result<()> {
        self.bucket.put(&id.cancel_key(&self.session), Bytes::new()).await?;
        Ok(())
    }

    pub async fn is_cancelled(&self, id: &JobId) -> anyhow::Result<bool> {
        Ok(self.bucket.get(&id.cancel_key(&self.session)).await?.is_some())
    }

    /// The jobs of this session that have a record.
    pub(super) async fn ids(&self) -> anyhow::Result<BTreeSet<JobId>> {
        let prefix = format!("{}.", self.session);
        let keys = self.bucket.keys().await?;
        let ids = keys.iter().filter_map(|key| JobId::try_from(key.strip_prefix(&prefix)?.to_owned()).ok());
        Ok(ids.collect())
    }
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
