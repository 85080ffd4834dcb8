//! The pauses between tries: each is twice as long as the one before, up to a cap, and may be shortened by chance.
//!
//! Pure: the caller sleeps, counts and draws the random number. The crate `backon` was looked at and not taken: it draws
//! its jitter itself, adds it above the cap, and has no pause for a given number of failures, which a reconnect callback
//! and a circuit breaker need.

use std::time::Duration;

/// How the pauses grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
}

impl Backoff {
    /// The first pause and the longest one.
    #[must_use]
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap }
    }

    /// The pause after this many earlier pauses, without jitter: `first` for 0, twice as long for 1, never above the cap.
    #[must_use]
    pub fn pause_after(self, earlier_pauses: u32) -> Duration {
        self.first.saturating_mul(2_u32.saturating_pow(earlier_pauses)).min(self.cap)
    }

    /// A sequence that starts with the first pause.
    #[must_use]
    pub const fn pauses(self) -> BackoffPauses {
        BackoffPauses { backoff: self, earlier: 0 }
    }
}

/// The pauses of one row of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffPauses {
    backoff: Backoff,
    earlier: u32,
}

impl BackoffPauses {
    /// The next pause, without jitter.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.backoff.pause_after(self.earlier);
        self.earlier = self.earlier.saturating_add(1);
        pause
    }

    /// The next pause, shortened by up to half of it: many that failed in one moment do not come back in one moment.
    pub fn next_with_jitter(&mut self) -> Duration {
        shorten(self.next_pause(), rand::random())
    }

    /// Whether the next pause is as long as pauses get.
    #[must_use]
    pub fn is_at_cap(&self) -> bool {
        self.backoff.pause_after(self.earlier) == self.backoff.cap
    }

    /// Starts again with the first pause, after a success.
    pub fn reset(&mut self) {
        self.earlier = 0;
    }
}

/// Between half of `pause` (`random` = 0) and all of it (`random` = 1).
#[must_use]
pub fn shorten(pause: Duration, random: f64) -> Duration {
    pause.mul_f64(f64::midpoint(1.0, random.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

    #[test]
    fn pauses_double_up_to_the_cap_and_start_again_after_a_success() {
        let mut pauses = BACKOFF.pauses();
        let milliseconds: Vec<_> = (0..7).map(|_| pauses.next_pause().as_millis()).collect();
        assert_eq!(milliseconds, [50, 100, 200, 400, 800, 1_000, 1_000]);
        assert!(pauses.is_at_cap());
        pauses.reset();
        assert_eq!((pauses.is_at_cap(), pauses.next_pause()), (false, Duration::from_millis(50)));
    }

    #[test]
    fn no_number_of_failures_is_too_large() {
        assert_eq!(BACKOFF.pause_after(u32::MAX), Duration::from_secs(1));
        let endless = Backoff::new(Duration::from_secs(u64::MAX), Duration::MAX);
        assert_eq!(endless.pause_after(9), Duration::MAX);
    }

    #[test]
    fn jitter_takes_at_most_half_and_never_adds() {
        let pause = Duration::from_secs(1);
        assert_eq!(shorten(pause, 0.0), pause / 2);
        assert_eq!(shorten(pause, 1.0), pause);
        for random in [-1.0, 0.3, 7.0, f64::INFINITY] {
            assert!((pause / 2..=pause).contains(&shorten(pause, random)), "{random}");
        }
        let mut pauses = BACKOFF.pauses();
        assert!((25..=50).contains(&pauses.next_with_jitter().as_millis()));
    }
}
