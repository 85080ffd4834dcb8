//! Who makes the retries of an endpoint while nothing is fresh. NATS pins a dispatcher when there is an event for him;
//! after a restart there may be none for days, and what is parked must not wait for it.
//!
//! The order does not depend on this: two who retry at once repeat, each in order.

use anyhow::Context as _;
use async_nats::jetstream::kv::Operation;
use bytes::Bytes;
use kurir_chassis::broker::Broker;
use kurir_contract::endpoint::{EndpointId, HOLDERS_BUCKET};
use std::time::Duration;
use tokio::time::Instant;

/// One that was not renewed for so long is free. Nobody's clock matters: it is what whoever waits has seen.
const EXPIRES: Duration = Duration::from_secs(6);

pub struct RetryLease {
    broker: Broker,
    endpoint: EndpointId,
    /// Somebody who has never been before.
    me: String,
    /// Another one's, and since when it is the same.
    other: Option<(u64, Instant)>,
    holds: bool,
}

impl RetryLease {
    #[must_use]
    pub fn new(broker: Broker, endpoint: EndpointId) -> Self {
        Self { broker, endpoint, me: format!("{:032x}", rand::random::<u128>()), other: None, holds: false }
    }

    /// Takes it if it is free, renews it if it is ours; whether it is.
    pub async fn claim(&mut self) -> anyhow::Result<bool> {
        let bucket = self.broker.bucket(HOLDERS_BUCKET).await?;
        let endpoint = self.endpoint.clone();
        let key = endpoint.as_str();
        let entry = bucket.entry(key).await.context("failed to see who holds an endpoint")?;
        let me = Bytes::from(self.me.clone());
        self.holds = match entry.filter(|entry| entry.operation == Operation::Put) {
            // Refused: somebody else was faster.
            None => bucket.create(key, me).await.is_ok(),
            Some(entry) if entry.value == me || self.has_expired(entry.revision) => {
                bucket.update(key, me, entry.revision).await.is_ok()
            }
            Some(_) => false,
        };
        Ok(self.holds)
    }

    fn has_expired(&mut self, revision: u64) -> bool {
        match self.other {
            Some((seen, since)) if seen == revision => since.elapsed() > EXPIRES,
            _ => {
                self.other = Some((revision, Instant::now()));
                false
            }
        }
    }

    /// Another can have it at once.
    pub async fn give_up(&mut self) {
        if std::mem::take(&mut self.holds)
            && let Ok(bucket) = self.broker.bucket(HOLDERS_BUCKET).await
        {
            // It expires.
            let _ = bucket.delete(self.endpoint.as_str()).await;
        }
    }
}
