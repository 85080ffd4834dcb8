//! The lease of this gateway: a key in the bucket `gateways` that vanishes 10 s after it was written last.

use crate::{session::session_guard::LeaseTerm, storage::StorageMonitor};
use bytes::Bytes;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, BucketError},
    shutdown::CancellationToken,
};
use kurir_contract::session::{GATEWAY_LEASE_LASTS, GATEWAYS_BUCKET};
use std::{collections::BTreeSet, time::Duration};
use tokio::{sync::watch, time::Instant};

/// The margin between the end of a term here and in NATS: a pause between the check of a guard and the act fits into it.
const MARGIN: Duration = Duration::from_secs(2);
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// After a failure; short, so that the end of an outage of NATS is seen within a second.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Keeps the lease alive. A clone shares it.
#[derive(Clone)]
pub struct GatewayLease {
    gateway: String,
    bucket: Bucket,
    term: watch::Sender<LeaseTerm>,
    storage: StorageMonitor,
}

impl GatewayLease {
    /// `gateway` names this process and no other.
    #[must_use]
    pub fn new(broker: Broker, gateway: String, storage: StorageMonitor) -> Self {
        let bucket = Bucket::expiring(broker, GATEWAYS_BUCKET, GATEWAY_LEASE_LASTS);
        Self { gateway, bucket, term: watch::channel(LeaseTerm::none()).0, storage }
    }

    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    pub(super) fn term(&self) -> watch::Receiver<LeaseTerm> {
        self.term.subscribe()
    }

    /// The revision of another gateway's lease; none if it has vanished.
    pub(super) async fn revision_of(&self, gateway: &str) -> Result<Option<u64>, BucketError> {
        Ok(self.bucket.get(gateway).await?.map(|lease| lease.revision))
    }

    /// The gateways whose leases have not vanished.
    pub(super) async fn alive(&self) -> Result<BTreeSet<String>, BucketError> {
        Ok(self.bucket.keys().await?.into_iter().collect())
    }

    /// Renews the lease until `released`, and gives it up then.
    ///
    /// # Errors
    /// Never; the shape is that of a service's task.
    pub async fn run(self, released: CancellationToken) -> anyhow::Result<()> {
        let mut revision = None;
        let mut failures = 0_u32;
        loop {
            let begun = Instant::now();
            let renewal = self.renew(revision).await;
            self.storage.record_lease(renewal.as_ref().map(drop)).await;
            let pause = match renewal {
                Ok((renewed, is_new_term)) => {
                    revision = Some(renewed);
                    failures = 0;
                    self.term.send_modify(|term| {
                        term.number += u64::from(is_new_term);
                        term.until = begun + GATEWAY_LEASE_LASTS.saturating_sub(MARGIN);
                    });
                    RENEW_EVERY
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(
                            "the gateway's lease was not renewed; nothing is sent or acknowledged once it has run out: {error}"
                        );
                    }
                    failures += 1;
                    TRY_AGAIN_AFTER
                }
            };
            if released.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
        }
        self.term.send_replace(LeaseTerm::none());
        // If NATS is away it vanishes by itself.
        let _ = self.bucket.purge(&self.gateway).await;
        Ok(())
    }

    /// Writes the lease again. Gives its revision, and whether it may have been away since the last renewal.
    async fn renew(&self, revision: Option<u64>) -> Result<(u64, bool), BucketError> {
        let value = Bytes::from_static(b"{}");
        if let Some(revision) = revision {
            match self.bucket.update(&self.gateway, value.clone(), revision).await {
                Ok(renewed) => return Ok((renewed, false)),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        // It has vanished, or an earlier write arrived after all.
        match self.bucket.get(&self.gateway).await? {
            Some(stored) => Ok((self.bucket.update(&self.gateway, value, stored.revision).await?, true)),
            None => Ok((self.bucket.create(&self.gateway, value).await?, true)),
        }
    }
}
