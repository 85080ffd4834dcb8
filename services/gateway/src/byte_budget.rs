//! A bound on the bytes of what waits in memory, whatever their number.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The bytes that may wait. Clones share them.
#[derive(Clone)]
pub struct ByteBudget {
    most: usize,
    used: Arc<AtomicUsize>,
}

/// Bytes of a budget, until it is dropped.
#[derive(Debug)]
pub struct ByteReservation {
    bytes: usize,
    used: Arc<AtomicUsize>,
}

impl ByteBudget {
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, used: Arc::default() }
    }

    /// Whether all bytes are taken.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.used.load(Relaxed) >= self.most
    }

    /// Takes bytes that are there already, whatever the budget has. The caller takes no more once it is used up.
    #[must_use]
    pub fn take(&self, bytes: usize) -> ByteReservation {
        self.used.fetch_add(bytes, Relaxed);
        ByteReservation { bytes, used: Arc::clone(&self.used) }
    }

    /// Takes bytes from the budget; none if it has fewer.
    #[must_use]
    pub fn reserve(&self, bytes: usize) -> Option<ByteReservation> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.used.fetch_update(Relaxed, Relaxed, fits).ok()?;
        Some(ByteReservation { bytes, used: Arc::clone(&self.used) })
    }
}

impl Drop for ByteReservation {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_budget_is_reserved_and_what_is_dropped_is_free() {
        let budget = ByteBudget::new(10);
        let first = budget.reserve(6).expect("there is room");
        assert!(budget.reserve(5).is_none());
        let second = budget.reserve(4).expect("there is room");
        assert!(budget.reserve(usize::MAX).is_none());
        drop(first);
        assert!(budget.reserve(6).is_some());
        drop(second);
        assert!(budget.reserve(10).is_some());
        let over = budget.take(11);
        assert!(budget.is_used_up() && budget.reserve(1).is_none());
        drop(over);
        assert!(!budget.is_used_up());
    }
}
