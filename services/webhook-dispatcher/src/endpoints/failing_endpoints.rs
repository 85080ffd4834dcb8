//! Which endpoints the bucket of states calls failing, so that the worker can say of one that it works.
//!
//! A circuit that closes says so by itself. It says nothing if its dispatcher was ended while it was open, or if the
//! word was lost; then the first success that any dispatcher sees does.

use kurir_contract::endpoint::EndpointId;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A clone is the same.
#[derive(Clone, Default)]
pub struct FailingEndpoints(Arc<Mutex<FailingState>>);

enum FailingState {
    /// The bucket was not looked at yet; these worked meanwhile.
    Nothing {
        worked: HashSet<EndpointId>,
    },
    Failing(HashSet<EndpointId>),
}

impl Default for FailingState {
    fn default() -> Self {
        Self::Nothing { worked: HashSet::new() }
    }
}

impl FailingEndpoints {
    /// The bucket calls these failing. Gives those of them that worked before it was looked at first.
    pub fn set(&self, endpoints: &HashSet<EndpointId>) -> Vec<EndpointId> {
        match std::mem::replace(&mut *self.lock(), FailingState::Failing(endpoints.clone())) {
            FailingState::Nothing { worked } => worked.intersection(endpoints).cloned().collect(),
            FailingState::Failing(_) => Vec::new(),
        }
    }

    /// An endpoint works. Whether the bucket calls it failing; once until the next look into the bucket.
    #[must_use]
    pub fn works(&self, endpoint: &EndpointId) -> bool {
        match &mut *self.lock() {
            FailingState::Nothing { worked } => {
                if !worked.contains(endpoint) {
                    worked.insert(endpoint.clone());
                }
                false
            }
            // Mostly there is none, and this is asked at each delivery.
            FailingState::Failing(endpoints) => !endpoints.is_empty() && endpoints.remove(endpoint),
        }
    }

    fn lock(&self) -> MutexGuard<'_, FailingState> {
        // Nothing under this lock can end half-way.
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
        assert!(!failing.works(&early));
        let named: HashSet<_> = [early.clone(), late.clone()].into();
        assert_eq!(failing.set(&named), [early]);
        assert!(failing.works(&late) && !failing.works(&late));
        assert!(failing.set(&named).is_empty());
        assert!(failing.works(&late));
    }
}
