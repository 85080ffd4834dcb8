//! What follows a failed attempt: the retry policy decides, and whether the receiver is away or asks for a pause. It stores
//! nothing.

use crate::{
    delivery::{
        attempt::{DeliveryAttempt, FailureDecision, NextStep},
        deliverer::EndpointDeliverer,
        failure_kind::FailureKind,
        outcome::AttemptFailure,
        receiver_health::ReceiverOutage,
        result::{EndpointVerdict, OutageVerdict},
    },
    endpoint::retry_policy::{RETRY_AFTER_CAP, RetryDecision, SchedulePosition, due_at},
};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use tracing::{info, warn};

/// How long an event waits that the receiver had no room for, if the receiver does not say. The endpoint's pace decides
/// when it is sent.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// An event that waited for its receiver begins its schedule again. The receiver accepted other events before each such
/// round, so after this many the event is at fault.
const MAX_ROUNDS: u32 = 10;
/// After a failed probe that the receiver answered, the event waits this long before it can be a probe again.
const PROBE_AGAIN_AFTER: Duration = Duration::from_secs(30);

impl EndpointDeliverer {
    /// What follows a failed attempt, as a time of day, and what it says about the endpoint.
    pub(super) fn decide_next_step(&self, delivery: &DeliveryAttempt, failure: &AttemptFailure) -> FailureDecision {
        let DeliveryAttempt { event, attempt, probe, .. } = delivery;
        let (endpoint, policy) = (&self.endpoint.id, &self.endpoint.retry_policy);
        let (now, reason) = (self.context.broker.clock.now(), failure.reason.clone());
        let again = |attempt, delay| NextStep::Attempt { attempt, at: due_at(now, delay) };
        let SchedulePosition { number, round } = policy.position(*attempt);
        let (outage, was_away) = self.judge_receiver(event.sequence, failure.kind(), policy.delay_before(number));
        let decision = policy.decide(number, failure.status, rand::random());

        let busy = failure.kind() == FailureKind::Busy && !policy.is_final(failure.status);
        if busy && decision != RetryDecision::Disable {
            // The receiver has not looked at the event: this was no attempt.
            let pause = failure.retry_after.map(|asked| asked.delay_from(SystemTime::from(now)).min(RETRY_AFTER_CAP));
            let next_step = again(*attempt, pause.unwrap_or(BUSY_PAUSE));
            return FailureDecision { next_step, verdict: EndpointVerdict::Busy { reason, pause } };
        }
        let verdict = |exhausted| EndpointVerdict::Failed {
            reason: reason.clone(),
            outage: outage.map(|outage| OutageVerdict { probe_pause: outage.probe_pause, exhausted }),
            overload: failure.status.is_none_or(|status| status >= 500),
        };
        let failed = |next_step| FailureDecision { next_step, verdict: verdict(false) };
        match decision {
            RetryDecision::Disable => {
                FailureDecision { next_step: NextStep::Disable, verdict: EndpointVerdict::Gone { reason } }
            }
            RetryDecision::Retry { .. } | RetryDecision::GiveUp if *probe && (outage.is_some() || !was_away) => {
                // The probe does not count as an attempt. If the receiver answered, the event waits with the retries,
                // so that the next probe is another event: one that a receiver cannot process must not block all
                // others.
                failed(again(*attempt, outage.map_or(PROBE_AGAIN_AFTER, |outage| outage.probe_pause)))
            }
            RetryDecision::Retry { delay, .. } => {
                info!(event.id = %event.id, endpoint.id = %endpoint, "Retrying webhook in {}ms", delay.as_millis());
                failed(again(attempt.saturating_add(1), delay))
            }
            RetryDecision::GiveUp => match outage {
                Some(outage) if round < MAX_ROUNDS && !policy.is_final(failure.status) => {
                    warn!(
                        event.id = %event.id, endpoint.id = %endpoint,
                        "All webhook attempts failed for event: {}: it waits until the receiver is back", event.kind
                    );
                    let next_step = again(attempt.saturating_add(1), outage.probe_pause);
                    FailureDecision { next_step, verdict: verdict(true) }
                }
                _ => {
                    warn!(event.id = %event.id, endpoint.id = %endpoint, "All webhook attempts failed for event: {}", event.kind);
                    self.metrics.dead_letters.inc();
                    failed(NextStep::Nothing)
                }
            },
        }
    }

    /// Whether the failure is a part of an outage, and whether the receiver was away before.
    fn judge_receiver(
        &self,
        sequence: u64,
        kind: FailureKind,
        since_last_attempt: Duration,
    ) -> (Option<ReceiverOutage>, bool) {
        let mut health = self.health();
        let was_away = health.is_away();
        (health.judge(kind, sequence, since_last_attempt, Instant::now()), was_away)
    }
}
