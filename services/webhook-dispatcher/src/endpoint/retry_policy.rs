//! When a failed delivery is tried again, and when it is given up.
//!
//! Pure: the policy is data; the time and the randomness are arguments. Jitter can only make a wait longer. A receiver
//! that asks for a pause is no failure, and not decided here.

use kurir_contract::endpoint::RetrySchedule;
use std::time::Duration;
use time::OffsetDateTime;

/// The longest wait that a `Retry-After` can ask for. Receivers count their limits by the minute or the hour. Without a
/// cap, the receiver would decide how long NATS keeps its events, and a typing error would stop a delivery for years.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(60 * 60);

/// The status that says the endpoint is gone for good (RFC 9110, 15.5.11).
const GONE: u16 = 410;

/// Decides what follows each failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The waits after the first, second, … failure. After the last wait there is one more attempt.
    delays: Vec<Duration>,
    /// The most jitter that is added to a wait, in percent of it.
    jitter_percent: u8,
    /// Statuses after which an event is given up at once.
    final_statuses: Vec<u16>,
    /// Whether the status 410 disables the endpoint.
    disables_on_gone: bool,
}

/// Where an attempt is in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulePosition {
    /// Counted from 1, at most [`RetryPolicy::max_attempts`].
    pub number: u32,
    /// Counted from 1. An event that waited for its receiver begins the schedule again.
    pub round: u32,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    Retry {
        /// Counted from 1.
        attempt: u32,
        delay: Duration,
    },
    GiveUp,
    /// The receiver has said that it is gone: the endpoint is to be disabled, and the event waits with all others.
    Disable,
}

impl Default for RetryPolicy {
    /// The API contract's policy: 2 s, 4 s and 8 s after each failure, whatever the receiver answers.
    fn default() -> Self {
        Self { disables_on_gone: false, ..Self::from_schedule(RetrySchedule::Default.delays()) }
    }
}

impl RetryPolicy {
    /// The waits after the first, second, … failure. Without a wait there is one attempt.
    #[must_use]
    pub fn from_schedule(delays: Vec<Duration>) -> Self {
        Self { delays, jitter_percent: 0, final_statuses: Vec::new(), disables_on_gone: true }
    }

    /// Treats the status 410 as every other failure.
    #[must_use]
    pub fn without_disabling(self) -> Self {
        Self { disables_on_gone: false, ..self }
    }

    /// Adds up to `percent` of each wait to it, by chance.
    #[must_use]
    pub fn with_jitter(self, percent: u8) -> Self {
        Self { jitter_percent: percent, ..self }
    }

    /// The statuses after which an event is given up at once. The API contract has none.
    #[must_use]
    pub fn with_final_statuses(self, statuses: Vec<u16>) -> Self {
        Self { final_statuses: statuses, ..self }
    }

    /// The most attempts for one event.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        // A policy has a handful of waits.
        self.delays.len() as u32 + 1
    }

    /// Where attempt `attempt` of an event, counted from 1, is in the schedule.
    #[must_use]
    pub fn position(&self, attempt: u32) -> SchedulePosition {
        let (before, attempts) = (attempt.saturating_sub(1), self.max_attempts());
        SchedulePosition { number: before % attempts + 1, round: before / attempts + 1 }
    }

    /// The delay before an attempt of the schedule, without jitter; zero before the first.
    #[must_use]
    pub fn delay_before(&self, number: u32) -> Duration {
        let index = (number as usize).checked_sub(2);
        index.and_then(|index| self.delays.get(index)).copied().unwrap_or_default()
    }

    /// Whether an event is given up at once after this status.
    #[must_use]
    pub fn is_final(&self, status: Option<u16>) -> bool {
        status.is_some_and(|status| self.final_statuses.contains(&status))
    }

    /// Decides what follows the failure of attempt `failed`, counted from 1. An attempt beyond the policy, left by an
    /// earlier and longer policy, is the last. `status` is from the answer, if there was one. `random` is between 0
    /// and 1.
    #[must_use]
    pub fn decide(&self, failed: u32, status: Option<u16>, random: f64) -> RetryDecision {
        if self.disables_on_gone && status == Some(GONE) {
            return RetryDecision::Disable;
        }
        if self.is_final(status) {
            return RetryDecision::GiveUp;
        }
        let Some(&delay) = self.delays.get(failed.saturating_sub(1) as usize) else { return RetryDecision::GiveUp };
        RetryDecision::Retry { attempt: failed.saturating_add(1), delay: self.jittered(delay, random) }
    }

    fn jittered(&self, delay: Duration, random: f64) -> Duration {
        let share = f64::from(self.jitter_percent) / 100.0 * if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        // A wait that is too long to be multiplied stays as it is.
        delay.saturating_add(Duration::try_from_secs_f64(delay.as_secs_f64() * share).unwrap_or_default())
    }
}

/// When the next attempt is due: in whole milliseconds, as the schedule has it, and never early.
#[must_use]
pub fn due_at(failed_at: OffsetDateTime, delay: Duration) -> OffsetDateTime {
    const MILLISECOND: u32 = 1_000_000;
    let due = failed_at.saturating_add(time::Duration::try_from(delay).unwrap_or(time::Duration::MAX));
    let beyond = due.nanosecond() % MILLISECOND;
    if beyond == 0 { due } else { due + Duration::from_nanos(u64::from(MILLISECOND - beyond)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn retry(attempt: u32, seconds: u64) -> RetryDecision {
        RetryDecision::Retry { attempt, delay: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_contracts_schedule_is_2_4_and_8_seconds_after_each_failure() {
        let policy = RetryPolicy::default();
        for (failed, expected) in [
            (1, retry(2, 2)),
            (2, retry(3, 4)),
            (3, retry(4, 8)),
            (4, RetryDecision::GiveUp),
            (5, RetryDecision::GiveUp),
            (u32::MAX, RetryDecision::GiveUp),
        ] {
            for random in [0.0, 1.0] {
                assert_eq!(policy.decide(failed, Some(500), random), expected, "after attempt {failed}");
            }
        }
        assert_eq!(policy.max_attempts(), 4);
    }

    #[test]
    fn the_patient_schedule_takes_more_than_a_day() {
        let policy = RetryPolicy::from_schedule(RetrySchedule::Patient.delays()).with_jitter(10);
        let seconds = [2, 5, 15, 30, 60, 120, 300, 900, 3_600, 10_800, 21_600, 43_200];
        for (failed, seconds) in (1..).zip(seconds) {
            assert_eq!(policy.decide(failed, None, 0.0), retry(failed + 1, seconds));
        }
        assert_eq!(policy.decide(13, None, 0.0), RetryDecision::GiveUp);
        assert_eq!(policy.decide(7, None, 0.5), retry(8, 315));
        // It rises evenly: no delay is more than four times the one before.
        assert!(seconds.windows(2).all(|pair| pair[1] <= 4 * pair[0]));
    }

    #[test]
    fn an_event_that_waited_for_its_receiver_begins_the_schedule_again() {
        let position = |policy: &RetryPolicy, attempt| {
            let SchedulePosition { number, round } = policy.position(attempt);
            (number, round)
        };
        let contract = RetryPolicy::default();
        for (attempt, expected) in [(1, (1, 1)), (4, (4, 1)), (5, (1, 2)), (8, (4, 2)), (9, (1, 3))] {
            assert_eq!(position(&contract, attempt), expected, "attempt {attempt}");
        }
        assert_eq!(position(&RetryPolicy::from_schedule(Vec::new()), 3), (1, 3));
        let before = [0, 1, 2, 3, 4, 5].map(|number| contract.delay_before(number).as_secs());
        assert_eq!(before, [0, 0, 2, 4, 8, 0]);
    }

    #[test]
    fn the_answer_decides_as_the_policy_says() {
        let of_4xx = RetryPolicy::from_schedule(RetrySchedule::Default.delays()).with_final_statuses(vec![400, 404]);
        for (status, expected) in [
            (None, retry(2, 2)),
            (Some(500), retry(2, 2)),
            (Some(400), RetryDecision::GiveUp),
            (Some(404), RetryDecision::GiveUp),
            (Some(403), retry(2, 2)),
            (Some(301), retry(2, 2)),
            (Some(410), RetryDecision::Disable),
        ] {
            assert_eq!(of_4xx.decide(1, status, 0.0), expected, "{status:?}");
            assert_eq!(of_4xx.is_final(status), expected == RetryDecision::GiveUp, "{status:?}");
        }
        for status in [404, 410] {
            let contracts = RetryPolicy::default().decide(1, Some(status), 0.0);
            assert_eq!(contracts, retry(2, 2), "the contract retries all");
        }
    }

    fn policies() -> impl Strategy<Value = RetryPolicy> {
        (prop::collection::vec(0_u64..1_000_000_000, 0..20), any::<u8>()).prop_map(|(delays, jitter)| {
            RetryPolicy::from_schedule(delays.into_iter().map(Duration::from_millis).collect()).with_jitter(jitter)
        })
    }

    /// The longest time from the first failure to the last attempt, with all jitter.
    fn longest(policy: &RetryPolicy) -> Duration {
        let longest = |&delay: &Duration| policy.jittered(delay, 1.0);
        policy.delays.iter().map(longest).fold(Duration::ZERO, Duration::saturating_add)
    }

    proptest! {
        #[test]
        fn every_policy_ends_after_its_attempts_and_within_its_longest_time(
            policy in policies(),
            answers in prop::collection::vec((400_u16..=599, -1.0..2.0_f64), 20),
        ) {
            let (mut attempt, mut waited) = (1, Duration::ZERO);
            for (status, random) in answers.into_iter().filter(|&(status, _)| status != GONE).cycle() {
                match policy.decide(attempt, Some(status), random) {
                    RetryDecision::Retry { attempt: next, delay } => {
                        prop_assert_eq!(next, attempt + 1);
                        waited += delay;
                        attempt = next;
                    }
                    RetryDecision::GiveUp => break,
                    RetryDecision::Disable => prop_assert!(false, "only {} disables", GONE),
                }
            }
            prop_assert_eq!(attempt, policy.max_attempts());
            prop_assert!(waited >= policy.delays.iter().sum::<Duration>());
            prop_assert!(waited <= longest(&policy));
        }

        #[test]
        fn jitter_can_only_delay_and_only_so_much(
            policy in policies(), failed in 1_u32..20, status in 100_u16..=600, random in any::<f64>(),
        ) {
            prop_assume!(status != GONE);
            if let RetryDecision::Retry { delay, .. } = policy.decide(failed, Some(status), random) {
                let least = policy.delays[failed as usize - 1];
                prop_assert!(delay >= least);
                prop_assert!(delay <= least * 4);
                let without = RetryPolicy { jitter_percent: 0, ..policy.clone() };
                if let RetryDecision::Retry { delay, .. } = without.decide(failed, Some(500), random) {
                    prop_assert_eq!(delay, least);
                }
            }
        }

        #[test]
        fn every_attempt_has_a_place_in_the_schedule(policy in policies(), attempt in 1_u32..) {
            let SchedulePosition { number, round } = policy.position(attempt);
            prop_assert!((1..=policy.max_attempts()).contains(&number));
            prop_assert_eq!(u64::from(round - 1) * u64::from(policy.max_attempts()) + u64::from(number), u64::from(attempt));
        }

        #[test]
        fn no_delay_is_too_long_to_be_judged(seconds in any::<u64>(), jitter in any::<u8>(), random in any::<f64>()) {
            let delay = Duration::from_secs(seconds);
            let policy = RetryPolicy::from_schedule(vec![delay, delay]).with_jitter(jitter);
            let decision = policy.decide(1, Some(503), random);
            let delayed = matches!(decision, RetryDecision::Retry { delay: seen, .. } if seen >= delay);
            prop_assert!(delayed, "{:?}", decision);
            prop_assert!(longest(&policy) >= delay);
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
