//! How many retries of a replay are ready for the workers: enough that these never wait, and few enough that an
//! endpoint's other retries, which come behind them, do not wait either. Pure.
//!
//! Checked every 100 ms: if most of them are gone there were too few, if most are still there too many. So about as
//! many are ready as are delivered between two checks.

/// At the start, and for a receiver that is slow or away.
const MIN_WINDOW: usize = 64;
/// A replay of a million events must not fill RETRIES, and must be cancellable at once.
const MAX_WINDOW: usize = 1_024;

pub struct CopyWindow {
    size: usize,
}

impl Default for CopyWindow {
    fn default() -> Self {
        Self { size: MIN_WINDOW }
    }
}

impl CopyWindow {
    /// How many more to copy. `due`: how many are ready or in delivery.
    pub fn room(&mut self, due: usize) -> usize {
        if due <= self.size / 4 {
            self.size = (self.size * 2).min(MAX_WINDOW);
        } else if due > self.size / 4 * 3 {
            // Reduced slowly: an empty queue costs more than a long one.
            self.size = (self.size - self.size / 4).max(MIN_WINDOW);
        }
        self.size.saturating_sub(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fast_receiver_gets_more_and_a_slow_one_less() {
        let mut window = CopyWindow::default();
        let rooms: Vec<usize> = (0..6).map(|_| window.room(0)).collect();
        assert_eq!(rooms, [128, 256, 512, 1_024, 1_024, 1_024]);
        let rooms: Vec<usize> = (0..20).map(|_| window.room(1_000)).collect();
        assert_eq!(rooms, [0; 20]);
        assert_eq!(window.room(40), MIN_WINDOW - 40);
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_the_most(dues in prop::collection::vec(0_usize..3_000, 1..100)) {
            let mut window = CopyWindow::default();
            for due in dues {
                let room = window.room(due);
                prop_assert!(room == 0 || due + room <= MAX_WINDOW);
            }
        }
    }
}
