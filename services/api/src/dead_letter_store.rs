//! DEAD_LETTERS, read by sequence: a page of it, one letter, and its removal.
//!
//! A page is bounded by its letters, by their bytes and by the time it takes; it says where the next one begins.

use crate::{error_code::ErrorCode, response::ApiError};
use async_nats::jetstream::{
    message::StreamMessage,
    stream::{DirectGetError, DirectGetErrorKind, Stream},
};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    delivery::DeadLetter,
    endpoint::EndpointId,
    stream::DEAD_LETTERS,
    subject::{self, ALL_DEAD_LETTERS},
};
use std::{
    future::Future,
    time::{Duration, Instant},
};

/// Of a page, beyond its last letter: each may hold an event of NATS' largest size, 1 MB.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// A page that takes longer ends where it is; a letter takes NATS less than a millisecond.
const PAGE_WITHIN: Duration = Duration::from_secs(3);
/// The API promises its 503 within 5 s.
const WITHIN: Duration = Duration::from_secs(4);

pub struct DeadLetterStore {
    broker: Broker,
}

pub struct StoredDeadLetter {
    /// Its sequence in DEAD_LETTERS.
    pub id: u64,
    pub letter: DeadLetter,
}

pub struct DeadLetterPage {
    pub letters: Vec<StoredDeadLetter>,
    /// The id after which the next page begins; none at the end.
    pub next: Option<u64>,
}

impl DeadLetterStore {
    pub fn new(broker: Broker) -> Self {
        Self { broker }
    }

    /// The letters after an id, of one endpoint or of all, the oldest first.
    pub async fn page(
        &self,
        endpoint: Option<&EndpointId>,
        after: u64,
        most: usize,
    ) -> Result<DeadLetterPage, ApiError> {
        let began = Instant::now();
        let stream = self.stream().await?;
        let filter = endpoint.map_or_else(|| ALL_DEAD_LETTERS.to_owned(), subject::dead_letters);
        let (mut letters, mut bytes, mut last) = (Vec::new(), 0, after);
        while letters.len() < most && bytes < PAGE_BYTES && began.elapsed() < PAGE_WITHIN {
            let next = stream.direct_get_next_for_subject(filter.as_str(), Some(last.saturating_add(1)));
            let Some(message) = found(next).await? else { return Ok(DeadLetterPage { letters, next: None }) };
            last = message.sequence;
            bytes += message.payload.len();
            letters.extend(read(&message));
        }
        Ok(DeadLetterPage { letters, next: Some(last) })
    }

    pub async fn get(&self, id: u64) -> Result<StoredDeadLetter, ApiError> {
        let message = found(self.stream().await?.direct_get(id)).await?.ok_or_else(not_found)?;
        read(&message).ok_or_else(not_found)
    }

    pub async fn delete(&self, id: u64) -> Result<(), ApiError> {
        let stream = self.stream().await?;
        found(stream.direct_get(id)).await?.ok_or_else(not_found)?;
        let deleted = stream.delete_message(id).await.map_err(|error| {
            tracing::warn!("failed to delete a dead letter: {error}");
            ApiError::broker_lost()
        })?;
        if deleted { Ok(()) } else { Err(not_found()) }
    }

    async fn stream(&self) -> Result<Stream<()>, ApiError> {
        if !self.broker.is_connected() {
            return Err(ApiError::broker_unavailable());
        }
        // Asks NATS nothing.
        self.broker.jetstream.get_stream_no_info(DEAD_LETTERS).await.map_err(unreadable)
    }
}

async fn found(
    get: impl Future<Output = Result<StreamMessage, DirectGetError>>,
) -> Result<Option<StreamMessage>, ApiError> {
    match tokio::time::timeout(WITHIN, get).await.map_err(unreadable)? {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

fn read(message: &StreamMessage) -> Option<StoredDeadLetter> {
    match serde_json::from_slice(&message.payload) {
        Ok(letter) => Some(StoredDeadLetter { id: message.sequence, letter }),
        Err(error) => {
            // Its text is left out: it may show a part of the letter.
            let (line, column) = (error.line(), error.column());
            tracing::warn!(
                "message {} of DEAD_LETTERS is no dead letter (line {line}, column {column})",
                message.sequence
            );
            None
        }
    }
}

pub fn not_found() -> ApiError {
    ApiError::new(ErrorCode::DeadLetterNotFound, "Dead letter not found")
}

fn unreadable(error: impl std::fmt::Display) -> ApiError {
    tracing::warn!("failed to read DEAD_LETTERS: {error}");
    ApiError::broker_unavailable()
}
