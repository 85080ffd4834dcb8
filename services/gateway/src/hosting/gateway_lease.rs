//! The lease of this gateway: a key in the bucket `gateways` that vanishes 10 s after it was written last. Its value says
//! whether the gateway reaches WhatsApp, and how many sessions it takes.

use crate::{session::session_guard::LeaseTerm, storage::StorageMonitor};
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, BucketError, to_json},
    shutdown::CancellationToken,
};
use kurir_contract::session::{GATEWAY_LEASE_LASTS, GATEWAYS_BUCKET};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use tokio::{sync::watch, time::Instant};

/// The margin between the end of a term here and in NATS: a pause between the check of a guard and the act fits into it.
const MARGIN: Duration = Duration::from_secs(2);
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// After a failure; short, so that the end of an outage of NATS is seen within a second.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What a gateway says of itself to the others; an earlier version says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayState {
    /// It fails to connect to WhatsApp's address.
    pub is_cut_off: bool,
    /// The most sessions that it runs; none: any number.
    pub max_sessions: Option<usize>,
}

/// Keeps the lease alive. A clone shares it.
#[derive(Clone)]
pub struct GatewayLease {
    gateway: String,
    bucket: Bucket,
    term: watch::Sender<LeaseTerm>,
    cut_off: watch::Receiver<bool>,
    max_sessions: Option<usize>,
    storage: StorageMonitor,
}

impl GatewayLease {
    /// `gateway` names this process and no other; `cut_off` tells whether it reaches WhatsApp.
    #[must_use]
    pub fn new(
        broker: Broker,
        gateway: String,
        cut_off: watch::Receiver<bool>,
        max_sessions: Option<usize>,
        storage: StorageMonitor,
    ) -> Self {
        let bucket = Bucket::expiring(broker, GATEWAYS_BUCKET, GATEWAY_LEASE_LASTS);
        Self { gateway, bucket, term: watch::channel(LeaseTerm::none()).0, cut_off, max_sessions, storage }
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

    /// The gateways whose leases have not vanished, and what each says of itself. This one says it as it is now.
    pub(super) async fn alive(&self) -> Result<BTreeMap<String, GatewayState>, BucketError> {
        let read = |value: &[u8]| serde_json::from_slice(value).unwrap_or_default();
        let stored = self.bucket.entries().await?.into_iter().map(|(gateway, value)| (gateway, read(&value)));
        let mut alive: BTreeMap<String, GatewayState> = stored.collect();
        alive.insert(self.gateway.clone(), self.state());
        Ok(alive)
    }

    fn state(&self) -> GatewayState {
        GatewayState { is_cut_off: *self.cut_off.borrow(), max_sessions: self.max_sessions }
    }

    /// Renews the lease until `released`, and gives it up then.
    ///
    /// # Errors
    /// Never; the shape is that of a service's task.
    pub async fn run(self, released: CancellationToken) -> anyhow::Result<()> {
        let mut revision = None;
        let mut failures = 0_u32;
        let mut cut_off = self.cut_off.clone();
        loop {
            cut_off.mark_unchanged();
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
            tokio::select! {
                () = released.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
                // The others shall know at once.
                Ok(()) = cut_off.changed() => {}
            }
        }
        self.term.send_replace(LeaseTerm::none());
        // If NATS is away it vanishes by itself.
        let _ = self.bucket.purge(&self.gateway).await;
        Ok(())
    }

    /// Writes the lease again. Gives its revision, and whether it may have been away since the last renewal.
    async fn renew(&self, revision: Option<u64>) -> Result<(u64, bool), BucketError> {
        // A record of a flag is always JSON.
        let value = to_json(&self.state()).unwrap_or_default();
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
