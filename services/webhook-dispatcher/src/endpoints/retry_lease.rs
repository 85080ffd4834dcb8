//! A lease on work that one dispatcher does at a time: an ordered endpoint's retries while it has no fresh events, and the
//! copying of a replay. NATS pins a dispatcher to an endpoint only when there is an event for it. After a restart there may
//! be none for days, and parked events must not wait for one.
//!
//! The order does not depend on the lease: two dispatchers that work at the same time cause repeats, each in order.

use bytes::Bytes;
use kurir_chassis::{broker::Broker, bucket::Bucket};
use kurir_contract::endpoint::HOLDERS_BUCKET;
use std::time::Duration;
use tokio::time::Instant;

/// A lease that was not renewed for this long is free. Clocks need not agree: each dispatcher measures by its own how
/// long it has seen the same lease.
const EXPIRES_AFTER: Duration = Duration::from_secs(6);

pub struct RetryLease {
    leases: Bucket,
    /// What is leased: the id of an endpoint, or the name of a replay.
    key: String,
    /// A random name for this holder.
    me: String,
    /// The revision of another holder's lease, and since when it is the same.
    other: Option<(u64, Instant)>,
    holds: bool,
}

impl RetryLease {
    #[must_use]
    pub fn new(broker: Broker, key: String) -> Self {
        Self {
            leases: Bucket::new(broker, HOLDERS_BUCKET),
            key,
            me: format!("{:032x}", rand::random::<u128>()),
            other: None,
            holds: false,
        }
    }

    /// Takes the lease if it is free, or renews it if it is ours. Whether it is ours now.
    pub async fn claim(&mut self) -> anyhow::Result<bool> {
        let key = self.key.as_str();
        let entry = self.leases.get(key).await?;
        let me = Bytes::from(self.me.clone());
        // A refused write means that another dispatcher was faster.
        self.holds = match entry {
            None => self.leases.create(key, me).await.is_ok(),
            Some(entry) if entry.value == me || has_expired(&mut self.other, entry.revision) => {
                self.leases.update(key, me, entry.revision).await.is_ok()
            }
            Some(_) => false,
        };
        Ok(self.holds)
    }

    /// Frees the lease, so that another dispatcher can take it at once.
    pub async fn release(&mut self) {
        if std::mem::take(&mut self.holds) {
            // If this fails, the lease expires.
            let _ = self.leases.delete(&self.key).await;
        }
    }
}

fn has_expired(other: &mut Option<(u64, Instant)>, revision: u64) -> bool {
    match other {
        Some((seen, since)) if *seen == revision => since.elapsed() > EXPIRES_AFTER,
        _ => {
            *other = Some((revision, Instant::now()));
            false
        }
    }
}
