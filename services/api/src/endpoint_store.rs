//! The endpoints as NATS keeps them: the bucket that every dispatcher follows, and what the dispatchers see of each.
//!
//! A change is written only over what it was made from. Of the endpoint `default`, the bucket holds what the API changed and
//! where it begins; the rest comes from the environment.

use crate::{
    bucket_error::{bucket_read_error, bucket_write_error},
    error_code::ErrorCode,
    response::ApiError,
};
use bytes::Bytes;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, BucketEntry},
};
use kurir_contract::{
    clock,
    endpoint::{BUCKET, EndpointId, EndpointSettings, EndpointState, RAW_REQUESTS_BUCKET, STATES_BUCKET},
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, time::Duration};

/// What NATS and the dispatchers are made for, and were measured with.
pub const MOST: usize = 10_000;
/// How often a change is tried again because another client was faster.
const TRIES: usize = 5;

pub struct EndpointStore {
    settings: Bucket,
    states: Bucket,
    raw_requests: Bucket,
}

pub struct StoredEndpoint {
    pub id: EndpointId,
    pub settings: EndpointSettings,
}

impl EndpointStore {
    pub fn new(broker: Broker) -> Self {
        Self {
            settings: Bucket::new(broker.clone(), BUCKET),
            states: Bucket::new(broker.clone(), STATES_BUCKET),
            raw_requests: Bucket::new(broker, RAW_REQUESTS_BUCKET),
        }
    }

    /// All of them, the oldest first.
    pub async fn all(&self) -> Result<Vec<StoredEndpoint>, ApiError> {
        let stored = self.settings.entries().await.map_err(bucket_read_error)?;
        let mut all: Vec<StoredEndpoint> = stored
            .into_iter()
            .filter_map(|(key, value)| {
                let id = key.parse().ok().filter(|id: &EndpointId| !id.is_default())?;
                // The log says so, and the other endpoints are listed.
                let settings = read(&value, &key).ok()?;
                Some(StoredEndpoint { id, settings })
            })
            .collect();
        all.sort_by(|one, other| (&one.settings.created_at, &one.id).cmp(&(&other.settings.created_at, &other.id)));
        Ok(all)
    }

    /// None if there is none.
    pub async fn find(&self, id: &EndpointId) -> Result<Option<EndpointSettings>, ApiError> {
        read_key(&self.settings, id).await?.map(|stored| read(&stored.value, id.as_str())).transpose()
    }

    pub async fn get(&self, id: &EndpointId) -> Result<EndpointSettings, ApiError> {
        let stored = read_key(&self.settings, id).await?.ok_or_else(not_found)?;
        read(&stored.value, id.as_str())
    }

    /// Refused beyond [`MOST`]; two callers at the same moment may end one above it.
    pub async fn create(&self, id: &EndpointId, settings: &EndpointSettings) -> Result<(), ApiError> {
        let most = MOST as u64;
        let bound = self.settings.key_count_bound().await.map_err(bucket_read_error)?;
        if bound >= most && self.settings.entries().await.map_err(bucket_read_error)?.len() as u64 >= most {
            let message = format!("There are {MOST} endpoints already, more are not possible: delete one first");
            return Err(ApiError::new(ErrorCode::TooManyEndpoints, message));
        }
        self.request_raw(id, settings).await?;
        match self.settings.create(id.as_str(), json(settings)?).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_conflict() => Err(changed_meanwhile()),
            Err(error) => Err(bucket_write_error(error)),
        }
    }

    /// Gives what is stored then. `change` is asked again if somebody else changes the endpoint at the same time; what
    /// it leaves as it was is not written.
    pub async fn change(
        &self,
        id: &EndpointId,
        change: impl Fn(&EndpointSettings) -> Result<EndpointSettings, ApiError>,
    ) -> Result<EndpointSettings, ApiError> {
        for _ in 0..TRIES {
            let stored = read_key(&self.settings, id).await?;
            let before = match &stored {
                Some(stored) => read(&stored.value, id.as_str())?,
                // A dispatcher stores it at its first start. The API may be faster.
                None if id.is_default() => EndpointSettings::contract_default(String::new()),
                None => return Err(not_found()),
            };
            let mut after = change(&before)?;
            if after == before {
                return Ok(before);
            }
            after.updated_at = clock::now_iso();
            self.request_raw(id, &after).await?;
            let written = match stored {
                Some(stored) => self.settings.update(id.as_str(), json(&after)?, stored.revision).await,
                None => self.settings.create(id.as_str(), json(&after)?).await,
            };
            match written {
                Ok(_) => {
                    if before.raw && !after.raw {
                        self.withdraw_raw(id).await;
                    }
                    return Ok(after);
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(bucket_write_error(error)),
            }
        }
        Err(changed_meanwhile())
    }

    /// Leaves a marker in the bucket: the dispatchers must see that the endpoint is gone.
    pub async fn delete(&self, id: &EndpointId) -> Result<(), ApiError> {
        // Also one whose `SECRETS_KEY` is lost.
        if !self.settings.contains(id.as_str()).await.map_err(bucket_read_error)? {
            return Err(not_found());
        }
        self.settings.delete(id.as_str()).await.map_err(bucket_write_error)?;
        // No id is used twice, so a state that is left over belongs to no endpoint; the log says why.
        let _ = self.forget_state(id).await;
        self.withdraw_raw(id).await;
        Ok(())
    }

    /// Before the endpoint is stored: its events hold `raw` from the first one on.
    async fn request_raw(&self, id: &EndpointId, settings: &EndpointSettings) -> Result<(), ApiError> {
        if settings.raw {
            self.raw_requests.put(id.as_str(), Bytes::new()).await.map_err(bucket_write_error)?;
        }
        Ok(())
    }

    /// After the endpoint was stored without it. A failure only leaves a request that nobody needs; the log says why.
    async fn withdraw_raw(&self, id: &EndpointId) {
        let _ = self.raw_requests.delete(id.as_str()).await;
        // Another caller may have asked for it between the two steps.
        if let Ok(Some(now)) = self.find(id).await {
            let _ = self.request_raw(id, &now).await;
        }
    }

    /// What the dispatchers have seen of every endpoint, `default` among them.
    pub async fn states(&self) -> Result<BTreeMap<EndpointId, EndpointState>, ApiError> {
        let stored = self.states.entries().await.map_err(bucket_read_error)?;
        let state = |(key, value): (String, Bytes)| Some((key.parse().ok()?, read(&value, &key).ok()?));
        Ok(stored.into_iter().filter_map(state).collect())
    }

    pub async fn state(&self, id: &EndpointId) -> Result<EndpointState, ApiError> {
        match read_key(&self.states, id).await? {
            Some(stored) => read(&stored.value, id.as_str()),
            None => Ok(EndpointState::default()),
        }
    }

    /// Forgets what the endpoint did before: it starts without failures.
    pub async fn forget_state(&self, id: &EndpointId) -> Result<(), ApiError> {
        match read_key(&self.states, id).await? {
            Some(_) => self.states.delete(id.as_str()).await.map_err(bucket_write_error),
            None => Ok(()),
        }
    }
}

async fn read_key(bucket: &Bucket, id: &EndpointId) -> Result<Option<BucketEntry>, ApiError> {
    bucket.get(id.as_str()).await.map_err(bucket_read_error)
}

pub fn not_found() -> ApiError {
    ApiError::new(ErrorCode::EndpointNotFound, "Endpoint not found")
}

fn changed_meanwhile() -> ApiError {
    let text = "The endpoint is being changed by others; try again";
    // Others need milliseconds for their change; HTTP counts in seconds.
    ApiError { retry_after: Some(Duration::from_secs(1)), ..ApiError::new(ErrorCode::Conflict, text) }
}

fn read<T: DeserializeOwned>(value: &[u8], key: &str) -> Result<T, ApiError> {
    serde_json::from_slice(value).map_err(|error| {
        // The error's own text may show a value, and that may be a secret.
        let (line, column) = (error.line(), error.column());
        tracing::error!(
            endpoint.id = key,
            "what is stored about the endpoint {key} cannot be read (line {line}, column {column})"
        );
        ApiError::internal()
    })
}

fn json(settings: &EndpointSettings) -> Result<Bytes, ApiError> {
    serde_json::to_vec(settings).map(Bytes::from).map_err(|error| {
        tracing::error!("failed to write an endpoint: {error}");
        ApiError::internal()
    })
}
