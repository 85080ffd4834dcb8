//! One exchange with the receiver: what is sent, and how it ended. It decides and settles nothing.

use crate::{
    delivery::{
        attempt::{AttemptTiming, DeliveryAttempt, ExchangeEnd, record_end},
        deliverer::EndpointDeliverer,
        outcome::{AttemptOutcome, FailurePhase, kept_headers},
        raw_field,
        request::{RequestBody, RequestMeta},
    },
    event::StoredEvent,
};
use kurir_chassis::trace_context;
use kurir_contract::{
    clock,
    delivery::{AttemptRecord, AttemptResult},
    endpoint::PayloadFormat,
};
use tokio::time::Instant;
use tracing::{info, warn};

impl EndpointDeliverer {
    /// The body that the endpoint receives for an event, or why it receives none.
    pub(super) fn render_body(&self, event: &StoredEvent) -> Result<RequestBody, &'static str> {
        let endpoint = &self.endpoint;
        let stripped = if endpoint.raw { None } else { raw_field::without_raw(event) };
        let event = stripped.as_ref().unwrap_or(event);
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

        let mut timing = AttemptTiming::start(self.context.broker.clock.now());
        let is_replay = delivery.scope.as_ref().is_some_and(|scope| scope.replay.is_some());
        let traced = self.context.traced && !trace_context::is_unsampled(event.traceparent.as_deref());
        let meta = RequestMeta { at: timing.at.unix_timestamp(), is_replay, traced };
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
                if traced {
                    record_end(Some(status), None, true);
                }
                let result = AttemptResult::Delivered { status, headers: kept_headers(&headers) };
                (self.build_record(delivery, result, &timing), ExchangeEnd::Delivered { status })
            }
            AttemptOutcome::Failed(failure) => {
                let phase = failure.missing.map(|missing| missing.phase);
                if traced {
                    record_end(failure.status, phase, false);
                }
                if let Some(phase) = phase {
                    self.metrics.count_missing_answer(phase);
                }
                warn!(
                    event.id = %event.id,
                    endpoint.id = %endpoint,
                    failure.phase = phase.map(FailurePhase::as_str),
                    duration_ms,
                    "Webhook attempt {attempt} failed: {failure}"
                );
                (self.build_record(delivery, failure.to_record(), &timing), ExchangeEnd::Failed(Box::new(failure)))
            }
        }
    }

    /// The record of an event that is not sent.
    pub(super) fn record_filtered(&self, delivery: &DeliveryAttempt, by: &'static str) -> AttemptRecord {
        self.build_record(
            delivery,
            AttemptResult::Filtered { by: by.to_owned() },
            &AttemptTiming::start(self.context.broker.clock.now()),
        )
    }

    fn build_record(&self, delivery: &DeliveryAttempt, result: AttemptResult, timing: &AttemptTiming) -> AttemptRecord {
        let DeliveryAttempt { event, attempt, scope, .. } = delivery;
        let trace =
            if self.context.traced { trace_context::collected_trace(event.traceparent.as_deref()) } else { None };
        let is_replay = scope.as_ref().is_some_and(|scope| scope.replay.is_some());
        if let (AttemptResult::Delivered { .. }, Some(stored_at), false) = (&result, event.stored_at, is_replay) {
            let since_stored = timing.at + timing.duration - stored_at;
            self.metrics.record_delivery(since_stored.try_into().unwrap_or_default(), trace.clone());
        }
        self.metrics.record_attempt(&result, timing.duration, trace);
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
