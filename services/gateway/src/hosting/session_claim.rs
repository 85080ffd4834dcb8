//! The claim of this gateway on a session: the record in the bucket `session_holders`.

use super::gateway_lease::GatewayLease;
use crate::session::session_guard::{LeaseTerm, SessionGuard};
use bytes::Bytes;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, BucketError, to_json},
    shutdown::CancellationToken,
};
use kurir_contract::{
    clock,
    session::{SESSION_HOLDERS_BUCKET, SessionId},
};
use serde::{Deserialize, Serialize};
use std::{fs, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// How often a lease that stands in the way is read again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a claim is compared with what NATS holds: an operator may have deleted the bucket.
const VERIFY_EVERY: Duration = Duration::from_secs(10);

/// Who holds a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionHolder {
    /// The name of the process.
    pub gateway: String,
    pub host: String,
    /// The folder with the session's keys, as [`crate::session::lease::FolderLease::identity`] names it.
    pub folder: String,
    /// The time of the claim, in ISO 8601.
    pub since: String,
}

impl SessionHolder {
    #[must_use]
    pub fn new(gateway: &str, folder: String) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        Self { gateway: gateway.to_owned(), host, folder, since: clock::iso(clock::now()) }
    }
}

/// Another gateway holds the session.
#[derive(Debug, thiserror::Error)]
#[error(
    "the gateway {} on {} holds the session {session} since {}: this gateway takes no command for it. Stop one of the two and \
     start this one again; two gateways of one NATS need sessions of different names", holder.gateway, holder.host, holder.since
)]
pub struct HeldElsewhere {
    pub session: SessionId,
    pub holder: SessionHolder,
}

/// The claim, kept until it is released or lost.
pub struct SessionClaim {
    session: SessionId,
    holder: SessionHolder,
    holders: Bucket,
    lease: GatewayLease,
    term: watch::Receiver<LeaseTerm>,
    claimed: watch::Sender<u64>,
}

impl SessionClaim {
    #[must_use]
    pub fn new(broker: Broker, session: SessionId, holder: SessionHolder, lease: GatewayLease) -> Self {
        let holders = Bucket::new(broker, SESSION_HOLDERS_BUCKET);
        let term = lease.term();
        Self { session, holder, holders, lease, term, claimed: watch::channel(0).0 }
    }

    #[must_use]
    pub fn guard(&self) -> SessionGuard {
        SessionGuard::new(self.term.clone(), self.claimed.subscribe())
    }

    /// Claims the session in the current term of the lease. Waits for NATS, and for a lease that may run out.
    ///
    /// # Errors
    /// If another gateway holds the session and is alive.
    pub async fn acquire(&mut self) -> Result<(), HeldElsewhere> {
        let mut seen_alive: Option<(String, u64)> = None;
        loop {
            let Ok(term) = self.term.wait_for(|term| term.is_valid()).await.map(|term| *term) else {
                // The lease ends with the process.
                std::future::pending::<()>().await;
                continue;
            };
            match self.try_claim(&mut seen_alive).await {
                Ok(Claimed::Yes) if self.term.borrow().number == term.number => {
                    self.claimed.send_replace(term.number);
                    return Ok(());
                }
                Ok(Claimed::Yes) => continue,
                Ok(Claimed::NotYet) => {}
                Ok(Claimed::HeldBy(holder)) => return Err(HeldElsewhere { session: self.session.clone(), holder }),
                Err(error) => tracing::debug!(session.id = %self.session, "the session is not claimed yet: {error}"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn try_claim(&self, seen_alive: &mut Option<(String, u64)>) -> Result<Claimed, BucketError> {
        let key = self.session.as_str();
        let Some((holder, revision)) = self.holders.get_json::<SessionHolder>(key).await? else {
            return claimed(self.holders.create(key, self.record()).await);
        };
        // The lock on the folder is ours, so an earlier process with it has ended.
        let is_ours = holder.gateway == self.holder.gateway || holder.folder == self.holder.folder;
        if !is_ours && let Some(lease) = self.lease.revision_of(&holder.gateway).await? {
            let is_renewed =
                seen_alive.as_ref().is_some_and(|(gateway, at)| *gateway == holder.gateway && *at != lease);
            if is_renewed {
                return Ok(Claimed::HeldBy(holder));
            }
            *seen_alive = Some((holder.gateway, lease));
            return Ok(Claimed::NotYet);
        }
        claimed(self.holders.update(key, self.record(), revision).await)
    }

    fn record(&self) -> Bytes {
        // A record of texts is always JSON.
        to_json(&self.holder).unwrap_or_default()
    }

    /// Claims the session again in each new term, until the shutdown.
    ///
    /// # Errors
    /// If another gateway has claimed the session.
    pub async fn keep(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        while !shutdown.is_cancelled() {
            let changed = self.term.wait_for(|term| term.is_valid() && term.number != *self.claimed.borrow());
            let is_new_term = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                changed = timeout(VERIFY_EVERY, changed) => changed.is_ok(),
            };
            if is_new_term || !self.is_still_ours().await {
                self.claimed.send_replace(0);
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    acquired = self.acquire() => acquired?,
                }
            }
        }
        Ok(())
    }

    /// Whether NATS still names this gateway; also true while NATS does not answer.
    async fn is_still_ours(&self) -> bool {
        let stored = self.holders.get_json::<SessionHolder>(self.session.as_str()).await;
        !matches!(stored, Ok(stored) if stored.as_ref().is_none_or(|(holder, _)| holder.gateway != self.holder.gateway))
    }
}

/// Gives a session up, so that the next gateway need not wait for the lease to run out.
pub async fn release_session(broker: Broker, session: &SessionId, gateway: &str) {
    let holders = Bucket::new(broker, SESSION_HOLDERS_BUCKET);
    if let Ok(Some((holder, _))) = holders.get_json::<SessionHolder>(session.as_str()).await
        && holder.gateway == gateway
    {
        // If NATS is away, the next one waits for the lease to run out.
        let _ = holders.purge(session.as_str()).await;
    }
}

enum Claimed {
    Yes,
    /// Somebody holds it who may be gone.
    NotYet,
    HeldBy(SessionHolder),
}

/// A faster gateway is a reason to look again.
fn claimed(written: Result<u64, BucketError>) -> Result<Claimed, BucketError> {
    match written {
        Ok(_) => Ok(Claimed::Yes),
        Err(error) if error.is_conflict() => Ok(Claimed::NotYet),
        Err(error) => Err(error),
    }
}
