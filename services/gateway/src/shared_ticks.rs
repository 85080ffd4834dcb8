//! Intervals whose ticks fall together, so that a hundred idle sessions wake the process once and not a hundred times.

use std::{sync::LazyLock, time::Duration};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// An interval that ticks at the same moments as every other one of this period. Its first tick comes within a period; ticks
/// that were missed are left out.
///
/// # Panics
/// If the period is zero.
#[must_use]
pub fn shared_interval(period: Duration) -> Interval {
    let passed = BEGIN.elapsed().as_nanos() / period.as_nanos();
    let ticks = u32::try_from(passed + 1).unwrap_or(u32::MAX);
    let mut interval = interval_at(*BEGIN + period * ticks, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn intervals_that_begin_at_different_times_tick_together() {
        const PERIOD: Duration = Duration::from_millis(500);
        let mut first = shared_interval(PERIOD);
        tokio::time::sleep(Duration::from_millis(730)).await;
        let mut second = shared_interval(PERIOD);
        // Two ticks were missed; one of them comes at once.
        first.tick().await;
        for _ in 0..3 {
            assert_eq!(first.tick().await, second.tick().await);
        }
    }
}
