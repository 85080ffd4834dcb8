//! The claim of this gateway on a session: the record in the bucket `session_holders`.

use super::gateway_lease::GatewayLease;
use crate::{
    session::{
        session_guard::{LeaseTerm, SessionGuard},
        session_holder::SessionHolder,
    },
    shared_ticks::shared_interval,
};
use bytes::Bytes;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, BucketError, to_json},
    shutdown::CancellationToken,
};
use kurir_contract::session::{SESSION_HOLDERS_BUCKET, SessionId};
use std::time::Duration;
use tokio::{sync::watch, time::sleep};

/// How often a lease that stands in the way is read again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a claim is compared with what NATS holds: an operator may have deleted the bucket.
const VERIFY_EVERY: Duration = Duration::from_secs(10);

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
    /// Whether another gateway may have the session's keys: what this one knows is old once another has held it.
    others_have_keys: bool,
}

/// Another gateway may have held the session meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("the claim on the session was interrupted, so another gateway may have gone on with it")]
pub struct ClaimInterrupted;

impl SessionClaim {
    #[must_use]
    pub fn new(broker: Broker, session: SessionId, holder: SessionHolder, lease: GatewayLease) -> Self {
        let holders = Bucket::new(broker, SESSION_HOLDERS_BUCKET);
        let term = lease.term();
        Self { session, holder, holders, lease, term, claimed: watch::channel(0).0, others_have_keys: false }
    }

    /// For a session whose keys are in NATS: each gateway has them.
    #[must_use]
    pub fn with_shared_keys(self) -> Self {
        Self { others_have_keys: true, ..self }
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
        let (term, _) = self.claim_in_term().await?;
        self.claimed.send_replace(term);
        Ok(())
    }

    /// Claims the session. Gives the number of the lease's term, and whether the session was this gateway's all the time.
    async fn claim_in_term(&mut self) -> Result<(u64, bool), HeldElsewhere> {
        let mut seen_alive: Option<(String, u64)> = None;
        let mut stayed_ours = true;
        loop {
            let Ok(term) = self.term.wait_for(|term| term.is_valid()).await.map(|term| *term) else {
                // The lease ends with the process.
                std::future::pending::<()>().await;
                continue;
            };
            match self.try_claim(&mut seen_alive).await {
                Ok(Claimed::Yes { was_ours }) => {
                    stayed_ours &= was_ours;
                    if self.term.borrow().number == term.number {
                        return Ok((term.number, stayed_ours));
                    }
                    continue;
                }
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
            return claimed(self.holders.create(key, self.record()).await, false);
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
        let was_ours = holder.gateway == self.holder.gateway;
        claimed(self.holders.update(key, self.record(), revision).await, was_ours)
    }

    fn record(&self) -> Bytes {
        // A record of texts is always JSON.
        to_json(&self.holder).unwrap_or_default()
    }

    /// Claims the session again in each new term, until the shutdown.
    ///
    /// # Errors
    /// If another gateway has claimed the session; [`ClaimInterrupted`] if one may have.
    pub async fn keep(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut verify = shared_interval(VERIFY_EVERY);
        while !shutdown.is_cancelled() {
            let changed = self.term.wait_for(|term| term.is_valid() && term.number != *self.claimed.borrow());
            let is_new_term = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = changed => true,
                _ = verify.tick() => false,
            };
            if is_new_term || !self.is_still_ours().await {
                self.claimed.send_replace(0);
                let (term, stayed_ours) = tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    claimed = self.claim_in_term() => claimed?,
                };
                if self.others_have_keys && !stayed_ours {
                    return Err(ClaimInterrupted.into());
                }
                self.claimed.send_replace(term);
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

/// Gives up a session that ran, so that the next gateway need not wait for the lease to run out.
pub async fn release_session(broker: Broker, session: &SessionId, gateway: &str) {
    release(broker, session, |holder| holder.gateway == gateway && !holder.is_export()).await;
}

/// Gives up a stopped session whose keys were exported.
pub async fn release_export(broker: Broker, session: &SessionId, gateway: &str) {
    release(broker, session, |holder| holder.gateway == gateway && holder.is_export()).await;
}

async fn release(broker: Broker, session: &SessionId, is_meant: impl Fn(&SessionHolder) -> bool) {
    let holders = Bucket::new(broker, SESSION_HOLDERS_BUCKET);
    if let Ok(Some((holder, revision))) = holders.get_json::<SessionHolder>(session.as_str()).await
        && is_meant(&holder)
    {
        // If NATS is away, the supervisor releases it later. If the record has changed, it is another gateway's.
        let _ = holders.purge_revision(session.as_str(), revision).await;
    }
}

enum Claimed {
    Yes {
        was_ours: bool,
    },
    /// Somebody holds it who may be gone.
    NotYet,
    HeldBy(SessionHolder),
}

/// A faster gateway is a reason to look again.
fn claimed(written: Result<u64, BucketError>, was_ours: bool) -> Result<Claimed, BucketError> {
    match written {
        Ok(_) => Ok(Claimed::Yes { was_ours }),
        Err(error) if error.is_conflict() => Ok(Claimed::NotYet),
        Err(error) => Err(error),
    }
}
