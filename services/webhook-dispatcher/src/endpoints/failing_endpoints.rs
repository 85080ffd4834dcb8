//! The endpoints whose last attempt failed, as the bucket of states has them. With these, the worker reports the first
//! failure of an endpoint, and that it works again.
//!
//! Reports are for all dispatchers: one dispatcher may see the failure and another one the success. So this follows the
//! bucket, which the watcher reads.

use kurir_contract::endpoint::EndpointId;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The shortest time between two reports that an endpoint fails. An endpoint that fails every other time would otherwise
/// cause two writes for each event.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Shared by all clones.
#[derive(Clone, Default)]
pub struct FailingEndpoints(Arc<Mutex<FailingState>>);

#[derive(Default)]
struct FailingState {
    /// Endpoints that worked before the bucket was read for the first time; none since.
    worked: Option<HashSet<EndpointId>>,
    is_read: bool,
    failing: HashSet<EndpointId>,
    /// When the last failure of an endpoint was reported.
    reported: HashMap<EndpointId, Instant>,
}

impl FailingEndpoints {
    /// Sets the endpoints that the bucket calls failing. Gives those of them that worked before the bucket was read for
    /// the first time.
    pub fn replace(&self, endpoints: &HashSet<EndpointId>) -> Vec<EndpointId> {
        let mut state = self.lock();
        state.is_read = true;
        state.failing.clone_from(endpoints);
        state.reported.retain(|_, at| at.elapsed() < REPORT_INTERVAL);
        let worked = state.worked.take().unwrap_or_default();
        worked.intersection(endpoints).cloned().collect()
    }

    /// Records that an endpoint failed. Whether that is news to be reported.
    #[must_use]
    pub fn add(&self, endpoint: &EndpointId, now: Instant) -> bool {
        let mut state = self.lock();
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < REPORT_INTERVAL;
        if state.failing.contains(endpoint) || state.reported.get(endpoint).is_some_and(is_recent) {
            return false;
        }
        state.worked.iter_mut().for_each(|worked| {
            worked.remove(endpoint);
        });
        state.failing.insert(endpoint.clone());
        state.reported.insert(endpoint.clone(), now);
        true
    }

    /// Records what the bucket says about an endpoint.
    pub fn set(&self, endpoint: &EndpointId, is_failing: bool) {
        let mut state = self.lock();
        if is_failing {
            state.failing.insert(endpoint.clone());
        } else {
            state.failing.remove(endpoint);
        }
    }

    /// Records that an endpoint works. Whether it was called failing before: then its recovery is to be reported.
    #[must_use]
    pub fn take_if_failing(&self, endpoint: &EndpointId) -> bool {
        let mut state = self.lock();
        if !state.is_read {
            let worked = state.worked.get_or_insert_default();
            if !worked.contains(endpoint) {
                worked.insert(endpoint.clone());
            }
        }
        // The set is mostly empty, and this runs at each delivery.
        !state.failing.is_empty() && state.failing.remove(endpoint)
    }

    fn lock(&self) -> MutexGuard<'_, FailingState> {
        // Nothing can panic while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_told_once_whether_it_comes_before_the_look_or_after() {
        let failing = FailingEndpoints::default();
        let [early, late] = [0; 2].map(|_| EndpointId::random());
        assert!(!failing.take_if_failing(&early));
        let named: HashSet<_> = [early.clone(), late.clone()].into();
        assert_eq!(failing.replace(&named), [early]);
        assert!(failing.take_if_failing(&late) && !failing.take_if_failing(&late));
        assert!(failing.replace(&named).is_empty());
        assert!(failing.take_if_failing(&late));
    }

    #[tokio::test]
    async fn a_failure_is_told_once_until_the_endpoint_works_and_at_most_once_a_second() {
        let (failing, id, now) = (FailingEndpoints::default(), EndpointId::random(), Instant::now());
        assert!(failing.add(&id, now) && !failing.add(&id, now + REPORT_INTERVAL));
        assert!(failing.take_if_failing(&id));
        assert!(!failing.add(&id, now + REPORT_INTERVAL / 2), "too soon");
        assert!(failing.add(&id, now + REPORT_INTERVAL));
        // Another dispatcher saw it work, and then fail.
        failing.set(&id, false);
        assert!(!failing.take_if_failing(&id));
        failing.set(&id, true);
        assert!(failing.take_if_failing(&id));
    }
}
