//! The replays that the dispatchers know of, as they were stored last. Only a dispatcher writes them.

use crate::{bucket_error::bucket_read_error, error_code::ErrorCode, response::ApiError};
use kurir_chassis::{broker::Broker, bucket::Bucket};
use kurir_contract::webhook::{REPLAYS_BUCKET, Replay};

pub struct ReplayStore {
    bucket: Bucket,
}

impl ReplayStore {
    pub fn new(broker: Broker) -> Self {
        Self { bucket: Bucket::new(broker, REPLAYS_BUCKET) }
    }

    /// All of them, the newest first.
    pub async fn all(&self) -> Result<Vec<Replay>, ApiError> {
        let stored = self.bucket.entries().await.map_err(bucket_read_error)?;
        let mut all: Vec<Replay> = stored
            .into_iter()
            .filter_map(|(key, value)| match serde_json::from_slice(&value) {
                Ok(replay) => Some(replay),
                Err(error) => {
                    tracing::warn!("what is stored about the replay {key} cannot be read: {error}");
                    None
                }
            })
            .collect();
        all.sort_by(|one, other| (&other.created_at, &other.id).cmp(&(&one.created_at, &one.id)));
        Ok(all)
    }

    /// # Errors
    /// If there is none of this name.
    pub async fn must_exist(&self, id: &str) -> Result<(), ApiError> {
        // What is no id of a replay may be no key of a bucket either.
        let is_id = id.strip_prefix("rep_").is_some_and(|rest| {
            (1..=64).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        if is_id && self.bucket.get(id).await.map_err(bucket_read_error)?.is_some() {
            Ok(())
        } else {
            Err(ApiError::new(ErrorCode::ReplayNotFound, "Replay not found"))
        }
    }
}
