//! Idempotency keys: a send with the same key is sent once, by any caller and after any restart.
//!
//! Two things ensure it. The message id is made from the key, so that even a repeat after a crash is one message for
//! the recipient's app. And a record in NATS says for what the key was used, and holds the answer once there is one.

use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, BucketError, to_json},
};
use kurir_contract::{
    command::{IDEMPOTENCY_BUCKET, IDEMPOTENCY_LASTS, IdempotencyKey, SentMessage},
    session::SessionId,
};
use serde::{Deserialize, Serialize};

/// For what a key was used.
#[derive(Debug, PartialEq)]
pub enum KeyUse {
    /// No send with this key is known to have succeeded. Send under the key's message id.
    Open,
    /// The message was sent with this answer.
    Sent(SentMessage),
    /// The key belongs to another message.
    OfAnother,
}

/// Why it is unknown for what a key was used. Nothing may be sent then.
#[derive(Debug, thiserror::Error)]
pub enum KeyLookupError {
    #[error(transparent)]
    Away(BucketError),
    #[error("the record is unreadable: {0}")]
    Unreadable(serde_json::Error),
}

impl From<BucketError> for KeyLookupError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::Unreadable { source, .. } => Self::Unreadable(source),
            away => Self::Away(away),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyRecord {
    /// A hash: the bucket holds no message text.
    request: String,
    /// Null while the message is being sent and after a failure. Then a repeat is another try at the same message.
    sent: Option<SentMessage>,
}

/// Claims a key for a message, if no other message has it.
///
/// # Errors
/// If NATS did not answer, or the record is unreadable.
pub async fn claim_key(
    bucket: &Bucket,
    session: &SessionId,
    key: &IdempotencyKey,
    request: &str,
) -> Result<KeyUse, KeyLookupError> {
    let key = key.of(session);
    let fresh = to_json(&KeyRecord { request: request.to_owned(), sent: None }).map_err(KeyLookupError::Unreadable)?;
    match bucket.create(&key, fresh).await {
        Ok(_) => return Ok(KeyUse::Open),
        Err(error) if error.is_conflict() => {}
        Err(error) => return Err(error.into()),
    }
    match bucket.get_json::<KeyRecord>(&key).await? {
        Some((record, _)) if record.request != request => Ok(KeyUse::OfAnother),
        Some((KeyRecord { sent: Some(sent), .. }, _)) => Ok(KeyUse::Sent(sent)),
        // It has expired meanwhile, or vanished with its bucket.
        Some((KeyRecord { sent: None, .. }, _)) | None => Ok(KeyUse::Open),
    }
}

/// Stores the answer for repeats.
pub async fn store_answer(
    bucket: &Bucket,
    session: &SessionId,
    key: &IdempotencyKey,
    request: String,
    sent: &SentMessage,
) {
    let record = KeyRecord { request, sent: Some(sent.clone()) };
    let Ok(record) = to_json(&record) else { return };
    // Without the record a repeat is sent again, under the same id.
    if let Err(error) = bucket.put(&key.of(session), record).await {
        tracing::warn!("the answer to an idempotency key was not stored: {error}");
    }
}

/// The bucket of the keys.
#[must_use]
pub fn key_bucket(broker: &Broker) -> Bucket {
    Bucket::expiring(broker.clone(), IDEMPOTENCY_BUCKET, IDEMPOTENCY_LASTS)
}
