//! Whether this gateway may act for a session at this moment.

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

/// A time in which the gateway's lease holds without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerm {
    /// Counts the terms; 0: there was none yet. In a new term each session is claimed again.
    pub number: u64,
    /// Until when no other gateway can have taken over, measured on this machine.
    pub until: Instant,
}

impl LeaseTerm {
    /// A term that is over.
    #[must_use]
    pub fn none() -> Self {
        Self { number: 0, until: Instant::now() }
    }

    #[must_use]
    pub fn is_valid(self) -> bool {
        self.number > 0 && Instant::now() < self.until
    }
}

/// Open while the session is claimed in the current term of the gateway's lease.
#[derive(Clone, Debug)]
pub struct SessionGuard {
    term: watch::Receiver<LeaseTerm>,
    /// The number of the term in which the session was claimed last.
    claimed: watch::Receiver<u64>,
}

impl SessionGuard {
    pub(crate) fn new(term: watch::Receiver<LeaseTerm>, claimed: watch::Receiver<u64>) -> Self {
        Self { term, claimed }
    }

    /// Whether no other gateway can hold the session now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let term = *self.term.borrow();
        term.is_valid() && term.number == *self.claimed.borrow()
    }

    /// Waits until the guard is open; false if it is not by `deadline`. Also if it never will be: who is told so at once asks
    /// again at once.
    pub async fn wait_open(&self, deadline: Instant) -> bool {
        let (mut term, mut claimed) = (self.term.clone(), self.claimed.clone());
        while !self.is_open() {
            let changed = async {
                tokio::select! { changed = term.changed() => changed, changed = claimed.changed() => changed }
            };
            match timeout_at(deadline, changed).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    sleep_until(deadline).await;
                    return self.is_open();
                }
                Err(_) => return self.is_open(),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn term(number: u64, lasts: Duration) -> LeaseTerm {
        LeaseTerm { number, until: Instant::now() + lasts }
    }

    #[tokio::test(start_paused = true)]
    async fn a_guard_is_open_only_in_the_term_of_its_claim() {
        let (terms, term_seen) = watch::channel(LeaseTerm::none());
        let (claims, claim_seen) = watch::channel(0);
        let guard = SessionGuard::new(term_seen, claim_seen);
        assert!(!guard.is_open());
        terms.send_replace(term(1, Duration::from_secs(8)));
        assert!(!guard.is_open(), "not claimed yet");
        claims.send_replace(1);
        assert!(guard.is_open());
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!guard.is_open(), "the lease may have vanished");
        assert!(!guard.wait_open(Instant::now() + Duration::from_secs(1)).await);
        terms.send_replace(term(2, Duration::from_secs(8)));
        assert!(!guard.is_open(), "another gateway may have claimed it between the terms");
        let waiting = tokio::spawn(async move { guard.wait_open(Instant::now() + Duration::from_secs(5)).await });
        tokio::task::yield_now().await;
        claims.send_replace(2);
        assert!(waiting.await.expect("no panic"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_guard_that_never_opens_again_keeps_its_callers_until_their_deadline() {
        let (terms, term_seen) = watch::channel(LeaseTerm::none());
        let (claims, claim_seen) = watch::channel(0);
        let guard = SessionGuard::new(term_seen, claim_seen);
        drop((terms, claims));
        let begun = Instant::now();
        assert!(!guard.wait_open(begun + Duration::from_secs(5)).await);
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }
}
