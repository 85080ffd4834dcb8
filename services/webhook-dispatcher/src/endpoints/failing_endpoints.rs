//! The endpoints that the bucket of states calls failing. With these, the worker reports that an endpoint works again.
//!
//! A circuit that closes is reported at once. No report comes if its dispatcher ended while the circuit was open, or if
//! the report was lost. Then the first success that any dispatcher sees is the report.

use kurir_contract::endpoint::EndpointId;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Shared by all clones.
#[derive(Clone, Default)]
pub struct FailingEndpoints(Arc<Mutex<FailingState>>);

enum FailingState {
    /// The bucket was not read yet; these endpoints worked meanwhile.
    Unread {
        worked: HashSet<EndpointId>,
    },
    Failing(HashSet<EndpointId>),
}

impl Default for FailingState {
    fn default() -> Self {
        Self::Unread { worked: HashSet::new() }
    }
}

impl FailingEndpoints {
    /// Sets the endpoints that the bucket calls failing. Gives those of them that worked before the bucket was read for
    /// the first time.
    pub fn replace(&self, endpoints: &HashSet<EndpointId>) -> Vec<EndpointId> {
        match std::mem::replace(&mut *self.lock(), FailingState::Failing(endpoints.clone())) {
            FailingState::Unread { worked } => worked.intersection(endpoints).cloned().collect(),
            FailingState::Failing(_) => Vec::new(),
        }
    }

    /// Records that an endpoint works. Whether the bucket calls it failing: true once for each reading of the bucket.
    #[must_use]
    pub fn take_if_failing(&self, endpoint: &EndpointId) -> bool {
        match &mut *self.lock() {
            FailingState::Unread { worked } => {
                if !worked.contains(endpoint) {
                    worked.insert(endpoint.clone());
                }
                false
            }
            // The set is mostly empty, and this runs at each delivery.
            FailingState::Failing(endpoints) => !endpoints.is_empty() && endpoints.remove(endpoint),
        }
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
}
