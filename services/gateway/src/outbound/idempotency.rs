//! A key that a caller gives to a send: the same key never sends twice, whoever asks again and after whatever restart.
//!
//! Two things hold it. The message id is made of the key, so that even a repeat after a crash is one message for the
//! recipient's app. And a record in NATS says what the key was used for, and the answer once there is one.

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

/// What is known about a key.
#[derive(Debug, PartialEq)]
pub enum KeyUse {
    /// Nothing was sent that is known of: send, under the key's message id.
    Open,
    /// It was sent; this was the answer.
    Sent(SentMessage),
    /// The key belongs to another message.
    OfAnother,
}

/// Why nobody knows what a key was used for; nothing may be sent then.
#[derive(Debug, thiserror::Error)]
pub enum KeyLookupError {
    #[error("NATS did not give it: {0:#}")]
    Away(#[from] anyhow::Error),
    #[error("its record is unreadable: {0}")]
    Unreadable(serde_json::Error),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyRecord {
    /// A hash: the bucket holds no text.
    request: String,
    /// Null while it is being sent, and after a failure: then another try is another try at the same message.
    sent: Option<SentMessage>,
}

/// The bucket answers in milliseconds, or NATS is in trouble.
const WITHIN: Duration = Duration::from_secs(4);

/// Looks a key up and takes it, if nobody has.
///
/// # Errors
/// If NATS did not answer, or with what nobody can read.
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
        // If it has expired since, the next caller is told so.
        let entry = bucket.get(&key).await.map_err(anyhow::Error::from)?.context("it vanished")?;
        let record: KeyRecord = serde_json::from_slice(&entry).map_err(KeyLookupError::Unreadable)?;
        Ok(match record {
            KeyRecord { request: other, .. } if other != request => KeyUse::OfAnother,
            KeyRecord { sent: Some(sent), .. } => KeyUse::Sent(sent),
            KeyRecord { sent: None, .. } => KeyUse::Open,
        })
    };
    timeout(WITHIN, asked).await.context("no answer")?
}

/// Keeps the answer for whoever asks again.
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
    // Without it a repeat goes out again, under the same id.
    match timeout(WITHIN, stored).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the answer to an idempotency key was not kept: {error:#}"),
        Err(_) => tracing::warn!("the answer to an idempotency key was not kept: NATS did not answer"),
    }
}

async fn open_bucket(broker: &Broker) -> anyhow::Result<Store> {
    broker.expiring_bucket(IDEMPOTENCY_BUCKET, IDEMPOTENCY_LASTS).await
}
