//! One exchange with the receiver: what is sent, how it ended, and what follows. It settles nothing.

use crate::{
    delivery::{
        attempt::{AttemptTiming, DeliveryAttempt, ExchangeEnd, FailureDecision, NextStep},
        deliverer::EndpointDeliverer,
        outcome::{AttemptFailure, AttemptOutcome, FailureKind, kept_headers},
        receiver_health::ReceiverOutage,
        request::{RequestBody, RequestMeta},
        result::{EndpointVerdict, OutageVerdict},
    },
    endpoint::retry_policy::{RETRY_AFTER_CAP, RetryDecision, SchedulePosition, due_at},
    event::StoredEvent,
};
use kurir_contract::{
    clock,
    delivery::{AttemptRecord, AttemptResult},
    endpoint::PayloadFormat,
};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
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
    /// The body that the endpoint receives for an event, or why it receives none.
    pub(super) fn render_body(&self, event: &StoredEvent) -> Result<RequestBody, &'static str> {
        let endpoint = &self.endpoint;
        if event.is_not_for(&endpoint.id) {
            return Err("about");
        }
        if !endpoint.filter.admits_all() && !event.is_only_for(&endpoint.id) {
            // An event that is no JSON is about no chat.
            let admitted = serde_json::from_slice(&event.payload).map_or(true, |read| endpoint.filter.admits(&read));
            if !admitted {
                return Err("content");
            }
        }
        let public_url = self.context.public_url.as_deref();
        let body = RequestBody::render(event, endpoint.format, public_url);
        // A test shows that the URL works: if the format has no counterpart, the test is sent as it is stored.
        let is_test = event.kind.as_str() == "test" || event.is_only_for(&endpoint.id);
        body.or_else(|| RequestBody::render(event, PayloadFormat::Kurir, public_url).filter(|_| is_test))
            .ok_or("format")
    }

    pub(super) async fn send(&self, delivery: &DeliveryAttempt, body: RequestBody) -> (AttemptRecord, ExchangeEnd) {
        let (endpoint, policy) = (&self.endpoint.id, &self.endpoint.retry_policy);
        let DeliveryAttempt { event, attempt, .. } = delivery;
        let (kind, attempts) = (&event.kind, policy.position(*attempt).round.saturating_mul(policy.max_attempts()));
        info!(event.id = %event.id, endpoint.id = %endpoint, "Sending webhook {kind} (attempt {attempt}/{attempts})");

        let mut timing = AttemptTiming::now();
        let is_replay = delivery.scope.as_ref().is_some_and(|scope| scope.replay.is_some());
        let meta = RequestMeta { at: timing.at.unix_timestamp(), is_replay, traced: self.context.traced };
        let request = self.template.request(event, body, &meta);
        self.metrics.in_delivery.inc();
        let outcome = AttemptOutcome::from_response(self.http.exchange(request, self.endpoint.timeout).await);
        self.metrics.in_delivery.dec();
        timing.duration = timing.began.elapsed();

        let duration_ms = timing.duration.as_millis() as u64;
        match outcome {
            AttemptOutcome::Delivered { status, headers } => {
                info!(event.id = %event.id, endpoint.id = %endpoint, "Webhook sent successfully: {kind} ({status} after {duration_ms} ms)");
                self.health().record_accepted(Instant::now());
                let result = AttemptResult::Delivered { status, headers: kept_headers(&headers) };
                (self.build_record(delivery, result, &timing), ExchangeEnd::Delivered { status })
            }
            AttemptOutcome::Failed(failure) => {
                warn!(event.id = %event.id, endpoint.id = %endpoint, duration_ms, "Webhook attempt {attempt} failed: {failure}");
                (self.build_record(delivery, failure.to_record(), &timing), ExchangeEnd::Failed(Box::new(failure)))
            }
        }
    }

    /// What follows a failed attempt, as a time of day, and what it says about the endpoint.
    pub(super) fn decide_next_step(&self, delivery: &DeliveryAttempt, failure: &AttemptFailure) -> FailureDecision {
        let DeliveryAttempt { event, attempt, probe, .. } = delivery;
        let (endpoint, policy) = (&self.endpoint.id, &self.endpoint.retry_policy);
        let (now, reason) = (OffsetDateTime::now_utc(), failure.reason.clone());
        let again = |attempt, delay| NextStep::Attempt { attempt, at: due_at(now, delay) };
        let SchedulePosition { number, round } = policy.position(*attempt);
        let (outage, was_away) = self.judge_receiver(event.sequence, failure.kind, policy.delay_before(number));
        let decision = policy.decide(number, failure.status, rand::random());

        let busy = failure.kind == FailureKind::Busy && !policy.is_final(failure.status);
        if busy && decision != RetryDecision::Disable {
            // The receiver has not looked at the event: this was no attempt.
            let pause = failure.retry_after.map(|asked| asked.delay_from(SystemTime::now()).min(RETRY_AFTER_CAP));
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

    /// The record of an event that is not sent.
    pub(super) fn record_filtered(&self, delivery: &DeliveryAttempt, by: &'static str) -> AttemptRecord {
        self.build_record(delivery, AttemptResult::Filtered { by: by.to_owned() }, &AttemptTiming::now())
    }

    fn build_record(&self, delivery: &DeliveryAttempt, result: AttemptResult, timing: &AttemptTiming) -> AttemptRecord {
        let DeliveryAttempt { event, attempt, scope, .. } = delivery;
        self.metrics.record_attempt(&result, timing.duration);
        AttemptRecord {
            event_id: event.id.clone(),
            event: event.kind.clone(),
            endpoint: self.endpoint.id.clone(),
            sequence: event.sequence,
            attempt: *attempt,
            result,
            duration_ms: timing.duration.as_millis() as u64,
            at: clock::iso(timing.at),
            replay: scope.as_ref().and_then(|scope| scope.replay.clone()),
        }
    }
}
