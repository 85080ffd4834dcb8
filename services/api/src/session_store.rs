//! The records of sessions, which gateways bring about: read by everybody, written by the routes of sessions.

use crate::{
    bucket_error::{bucket_read_error, bucket_write_error},
    error_code::ErrorCode,
    response::ApiError,
};
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, to_json},
};
use kurir_contract::{
    clock,
    session::SessionId,
    session_record::{SESSIONS_BUCKET, SessionRecord},
    subject,
};
use std::collections::BTreeMap;

/// Tries to write over what others write at the same time.
const TRIES: usize = 10;

pub struct SessionStore {
    broker: Broker,
    records: Bucket,
}

impl SessionStore {
    pub fn new(broker: Broker) -> Self {
        Self { records: Bucket::new(broker.clone(), SESSIONS_BUCKET), broker }
    }

    /// All sessions in the order of their ids; `default` is among them also without a record.
    pub async fn all(&self) -> Result<BTreeMap<SessionId, SessionRecord>, ApiError> {
        let mut records = BTreeMap::from([(SessionId::default(), SessionRecord::default())]);
        for (key, value) in self.records.entries().await.map_err(bucket_read_error)? {
            let (Ok(id), Ok(record)) = (key.parse::<SessionId>(), serde_json::from_slice(&value)) else {
                tracing::error!(session.id = key, "the record of the session {key} cannot be read");
                continue;
            };
            records.insert(id, record);
        }
        Ok(records)
    }

    /// Whether there is a record; `default` may have none.
    pub async fn is_stored(&self, session: &SessionId) -> Result<bool, ApiError> {
        Ok(self.records.get(session.as_str()).await.map_err(bucket_read_error)?.is_some())
    }

    /// # Errors
    /// If there is no such session.
    pub async fn get(&self, session: &SessionId) -> Result<SessionRecord, ApiError> {
        Ok(self.find(session).await?.ok_or_else(not_found)?.0)
    }

    /// The record with its revision; none if there is no such session. Revision 0: it is not stored yet.
    async fn find(&self, session: &SessionId) -> Result<Option<(SessionRecord, u64)>, ApiError> {
        let stored = self.records.get_json(session.as_str()).await.map_err(bucket_read_error)?;
        let implied = (*session == SessionId::default()).then(|| (SessionRecord::default(), 0));
        Ok(stored.or(implied))
    }

    /// # Errors
    /// If there is a session of this id already.
    pub async fn create(&self, session: &SessionId, record: &SessionRecord) -> Result<(), ApiError> {
        let taken = || ApiError::new(ErrorCode::SessionExists, format!("There is a session {session} already"));
        if *session == SessionId::default() {
            return Err(taken());
        }
        let value = to_json(record).map_err(|_| ApiError::internal())?;
        match self.records.create(session.as_str(), value).await {
            Ok(_) => {}
            Err(error) if error.is_conflict() => return Err(taken()),
            Err(error) => return Err(bucket_write_error(error)),
        }
        self.announce().await;
        Ok(())
    }

    /// Gives what is stored then. `change` is asked again if somebody else changes the session at the same time.
    ///
    /// # Errors
    /// If there is no such session, or `change` refuses.
    pub async fn change(
        &self,
        session: &SessionId,
        change: impl Fn(SessionRecord) -> Result<SessionRecord, ApiError>,
    ) -> Result<SessionRecord, ApiError> {
        for _ in 0..TRIES {
            let (before, revision) = self.find(session).await?.ok_or_else(not_found)?;
            let after = SessionRecord { updated_at: clock::now_iso(), ..change(before)? };
            let value = to_json(&after).map_err(|_| ApiError::internal())?;
            let written = match revision {
                0 => self.records.create(session.as_str(), value).await,
                revision => self.records.update(session.as_str(), value, revision).await,
            };
            match written {
                Ok(_) => {
                    self.announce().await;
                    return Ok(after);
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(bucket_write_error(error)),
            }
        }
        Err(ApiError::new(ErrorCode::Conflict, "The session is being changed by others; try again"))
    }

    /// Lets the gateways read the records now, and not within ten seconds.
    async fn announce(&self) {
        let client = &self.broker.client;
        let _ = client.publish(subject::SESSIONS_CHANGED, bytes::Bytes::new()).await;
    }
}

pub fn not_found() -> ApiError {
    ApiError::new(ErrorCode::SessionNotFound, "Session not found")
}
