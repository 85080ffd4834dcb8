//! Idempotency keys: a send with the same key is sent once, by any caller and after any restart.
//!
//! Two things ensure it. The message id is made from the key, so that even a repeat after a crash is one message for
//! the recipient's app. And a record in NATS says for what the key was used, and holds the answer once there is one.

use anyhow::Context as _;
use async_nats::jetstream::kv::{CreateErrorKind, Store};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    command::{IDEMPOTENCY_BUCKET, IDEMPOTENCY_LASTS, IdempotencyKey, SentMessage},
    session::SessionId,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;

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
    #[error("NATS did not give the record: {0:#}")]
    Away(#[from] anyhow::Error),
    #[error("the record is unreadable: {0}")]
    Unreadable(serde_json::Error),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyRecord {
    /// A hash: the bucket holds no message text.
    request: String,
    /// Null while the message is being sent and after a failure. Then a repeat is another try at the same message.
    sent: Option<SentMessage>,
}

/// The bucket answers in milliseconds, unless NATS is in trouble.
const WITHIN: Duration = Duration::from_secs(4);

/// Claims a key for a message, if no other message has it.
///
/// # Errors
/// If NATS did not answer, or the record is unreadable.
pub async fn claim_key(
    broker: &Broker,
    session: &SessionId,
    key: &IdempotencyKey,
    request: &str,
) -> Result<KeyUse, KeyLookupError> {
    let asked = async {
        let bucket = open_bucket(broker).await?;
        let (key, request) = (key.of(session), request.to_owned());
        let record =
            serde_json::to_vec(&KeyRecord { request: request.clone(), sent: None }).map_err(anyhow::Error::from)?;
        match bucket.create(&key, record.into()).await {
            Ok(_) => return Ok(KeyUse::Open),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(anyhow::Error::from(error).into()),
        }
        // If the record has expired meanwhile, the caller gets an error.
        let entry = bucket.get(&key).await.map_err(anyhow::Error::from)?.context("the record vanished")?;
        let record: KeyRecord = serde_json::from_slice(&entry).map_err(KeyLookupError::Unreadable)?;
        Ok(match record {
            KeyRecord { request: other, .. } if other != request => KeyUse::OfAnother,
            KeyRecord { sent: Some(sent), .. } => KeyUse::Sent(sent),
            KeyRecord { sent: None, .. } => KeyUse::Open,
        })
    };
    timeout(WITHIN, asked).await.context("NATS did not answer")?
}

/// Stores the answer for repeats.
pub async fn store_answer(
    broker: &Broker,
    session: &SessionId,
    key: &IdempotencyKey,
    request: String,
    sent: &SentMessage,
) {
    let stored = async {
        let record = KeyRecord { request, sent: Some(sent.clone()) };
        let bucket = open_bucket(broker).await?;
        bucket.put(key.of(session), serde_json::to_vec(&record)?.into()).await?;
        anyhow::Ok(())
    };
    // Without the record a repeat is sent again, under the same id.
    match timeout(WITHIN, stored).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the answer to an idempotency key was not stored: {error:#}"),
        Err(_) => tracing::warn!("the answer to an idempotency key was not stored: NATS did not answer"),
    }
}

async fn open_bucket(broker: &Broker) -> anyhow::Result<Store> {
    broker.expiring_bucket(IDEMPOTENCY_BUCKET, IDEMPOTENCY_LASTS).await
}
