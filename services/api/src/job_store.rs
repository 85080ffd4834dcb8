//! The records of jobs, as they were stored last. Only the gateway writes them.

use crate::{bucket_error::bucket_read_error, error_code::ErrorCode, response::ApiError};
use kurir_chassis::{broker::Broker, bucket::Bucket};
use kurir_contract::{
    job::{self, JobId, JobRecord},
    session::SessionId,
};

pub struct JobStore {
    bucket: Bucket,
}

impl JobStore {
    pub fn new(broker: Broker) -> Self {
        Self { bucket: Bucket::expiring(broker, job::BUCKET, job::RECORD_LASTS) }
    }

    /// All of a session, the newest first.
    pub async fn all(&self, session: &SessionId) -> Result<Vec<JobRecord>, ApiError> {
        let stored = self.bucket.entries().await.map_err(bucket_read_error)?;
        let prefix = format!("{session}.");
        let mut all: Vec<JobRecord> = stored
            .into_iter()
            .filter(|(key, _)| key.starts_with(&prefix) && !key.ends_with(".cancel"))
            .filter_map(|(key, value)| read(&key, &value).ok())
            .collect();
        all.sort_by(|one, other| (&other.created_at, &other.id).cmp(&(&one.created_at, &one.id)));
        Ok(all)
    }

    /// # Errors
    /// If there is none of this name.
    pub async fn get(&self, session: &SessionId, id: &JobId) -> Result<JobRecord, ApiError> {
        let key = id.record_key(session);
        let stored = self.bucket.get(&key).await.map_err(bucket_read_error)?.ok_or_else(not_found)?;
        read(&key, &stored.value).map_err(|_| ApiError::internal())
    }
}

pub fn not_found() -> ApiError {
    ApiError::new(ErrorCode::JobNotFound, "Job not found")
}

fn read(key: &str, value: &[u8]) -> serde_json::Result<JobRecord> {
    serde_json::from_slice(value)
        .inspect_err(|error| tracing::warn!("what is stored about the job {key} cannot be read: {error}"))
}
