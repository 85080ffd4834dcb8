//! Putting a message into a stream for sure: tried again until the broker has acknowledged it or the time is up.

use anyhow::Context as _;
use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use bytes::Bytes;
use kurir_chassis::broker::Broker;
use std::time::Duration;
use tokio::time::Instant;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);

pub struct Message {
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

/// Tries until `deadline`, and makes the streams if one of them is missing.
///
/// # Errors
/// With that of the last try.
pub async fn store(broker: &Broker, message: &Message, deadline: Instant) -> anyhow::Result<()> {
    loop {
        let tried = match tokio::time::timeout_at(deadline, store_once(broker, message)).await {
            Ok(tried) => tried,
            Err(_) => Err(anyhow::anyhow!("no acknowledgement in time")),
        };
        match tried {
            Err(_) if Instant::now() + PAUSE < deadline => mend(broker).await,
            last => return last.with_context(|| format!("failed to store {}", message.subject)),
        }
    }
}

/// Tries `tries` times.
///
/// # Errors
/// With that of the last try.
pub async fn store_within_tries(broker: &Broker, message: &Message, tries: u32) -> anyhow::Result<()> {
    let mut left = tries;
    loop {
        left -= 1;
        match store_once(broker, message).await {
            Err(_) if left > 0 => mend(broker).await,
            last => return last.with_context(|| format!("failed to store {}", message.subject)),
        }
    }
}

async fn store_once(broker: &Broker, message: &Message) -> anyhow::Result<()> {
    let publish = PublishMessage::build().headers(message.headers.clone()).payload(message.payload.clone());
    broker.jetstream.send_publish(message.subject.clone(), publish).await?.await?;
    Ok(())
}

async fn mend(broker: &Broker) {
    tokio::time::sleep(PAUSE).await;
    // A stream that is missing is the one cause that we can mend; the next try tells whether it was.
    if let Err(error) = broker.create_missing_streams().await {
        tracing::debug!("the broker is not ready: {error:#}");
    }
}
