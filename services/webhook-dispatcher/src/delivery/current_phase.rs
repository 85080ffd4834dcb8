//! The step that an attempt has reached, readable while it is under way: a time-out is named after it.

use crate::delivery::outcome::FailurePhase;
use std::sync::atomic::{AtomicU8, Ordering};

/// The step that an attempt has reached.
#[derive(Debug)]
pub struct CurrentPhase(AtomicU8);

impl CurrentPhase {
    #[must_use]
    pub fn new(phase: FailurePhase) -> Self {
        Self(AtomicU8::new(phase as u8))
    }

    pub fn set(&self, phase: FailurePhase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> FailurePhase {
        // Only `set` and `new` write, so the number is one of the phases.
        FailurePhase::ALL[usize::from(self.0.load(Ordering::Relaxed)) % FailurePhase::ALL.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_read_as_it_was_written() {
        for phase in FailurePhase::ALL {
            assert_eq!(CurrentPhase::new(phase).get(), phase);
        }
    }
}
