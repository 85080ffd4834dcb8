//! When a failed delivery is tried again, and when it is given up.
//!
//! Pure: the delays are data, the present is an argument.

use std::time::Duration;
use time::OffsetDateTime;

/// The delays after the first, second, … failure; after the last there is no other attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    delays: Vec<Duration>,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Retry {
        /// Counted from 1.
        attempt: u32,
        delay: Duration,
    },
    GiveUp,
}

impl Default for RetryPolicy {
    /// The contract's: 2 s, 4 s and 8 s after each failure.
    fn default() -> Self {
        Self { delays: [2, 4, 8].map(Duration::from_secs).to_vec() }
    }
}

impl RetryPolicy {
    /// How many attempts there are at most.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        // A policy has a handful of delays.
        self.delays.len() as u32 + 1
    }

    /// `failed`: the attempt that failed, counted from 1. One beyond the policy, left by an earlier and longer one,
    /// is the last.
    #[must_use]
    pub fn after(&self, failed: u32) -> Decision {
        match self.delays.get(failed.saturating_sub(1) as usize) {
            Some(&delay) => Decision::Retry { attempt: failed.saturating_add(1), delay },
            None => Decision::GiveUp,
        }
    }
}

/// When the next attempt is due: in whole milliseconds, as it is written into the schedule, and never early.
#[must_use]
pub fn due_at(failed_at: OffsetDateTime, delay: Duration) -> OffsetDateTime {
    const MILLISECOND: u32 = 1_000_000;
    let due = failed_at + delay;
    let beyond = due.nanosecond() % MILLISECOND;
    if beyond == 0 { due } else { due + Duration::from_nanos(u64::from(MILLISECOND - beyond)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_contracts_schedule_is_2_4_and_8_seconds_after_each_failure() {
        let policy = RetryPolicy::default();
        let retry = |attempt, seconds| Decision::Retry { attempt, delay: Duration::from_secs(seconds) };
        for (failed, expected) in [
            (1, retry(2, 2)),
            (2, retry(3, 4)),
            (3, retry(4, 8)),
            (4, Decision::GiveUp),
            (5, Decision::GiveUp),
            (u32::MAX, Decision::GiveUp),
        ] {
            assert_eq!(policy.after(failed), expected, "after attempt {failed}");
        }
        assert_eq!(policy.attempts(), 4);
    }

    proptest! {
        #[test]
        fn every_policy_ends_after_its_attempts(delays in prop::collection::vec(0_u64..1_000_000, 0..20)) {
            let policy = RetryPolicy { delays: delays.iter().copied().map(Duration::from_millis).collect() };
            let (mut attempt, mut waited) = (1, Vec::new());
            while let Decision::Retry { attempt: next, delay } = policy.after(attempt) {
                prop_assert_eq!(next, attempt + 1);
                waited.push(delay.as_millis() as u64);
                attempt = next;
            }
            prop_assert_eq!(attempt, policy.attempts());
            prop_assert_eq!(waited, delays);
        }

        #[test]
        fn a_retry_is_never_due_early_and_less_than_a_millisecond_late(
            nanoseconds in 0_i64..4_000_000_000_000_000_000, delay in 0_u64..1_000_000_000
        ) {
            let failed_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanoseconds)).unwrap();
            let delay = Duration::from_micros(delay);
            let due = due_at(failed_at, delay);
            prop_assert_eq!(due.nanosecond() % 1_000_000, 0);
            prop_assert!(due >= failed_at + delay);
            prop_assert!(due - (failed_at + delay) < Duration::from_millis(1));
        }
    }
}
