//! One exchange with the receiver: what is sent, how it ended, and what follows. It settles nothing.

use crate::{
    delivery::{
        attempt::{AttemptTiming, DeliveryAttempt, ExchangeEnd, NextStep},
        deliverer::EndpointDeliverer,
        outcome::{AttemptFailure, AttemptOutcome, head},
        request::{RequestBody, RequestMeta},
    },
    endpoint::retry_policy::{RetryDecision, due_at},
    event::StoredEvent,
};
use kurir_contract::{
    clock,
    delivery::{AttemptRecord, AttemptResult},
    endpoint::PayloadFormat,
};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use tracing::{info, warn};

/// An event that was sent as a probe in vain waits so long before it can be one again.
const PROBED_AGAIN: Duration = Duration::from_secs(30);

impl EndpointDeliverer {
    /// What the endpoint is sent of an event, or why it is not sent.
    pub(super) fn wanted(&self, event: &StoredEvent) -> Result<RequestBody, &'static str> {
        let endpoint = &self.endpoint;
        if event.is_not_for(&endpoint.id) {
            return Err("about");
        }
        if !endpoint.filter.admits_all() && !event.is_only_for(&endpoint.id) {
            // What is no JSON is about no chat.
            let admitted = serde_json::from_slice(&event.payload).map_or(true, |read| endpoint.filter.admits(&read));
            if !admitted {
                return Err("content");
            }
        }
        let public_url = self.tools.public_url.as_deref();
        let body = RequestBody::of(event, endpoint.format, public_url);
        // A test shows that the URL works: what the format has nothing for goes as it is stored.
        let is_test = event.kind.as_str() == "test" || event.is_only_for(&endpoint.id);
        body.or_else(|| RequestBody::of(event, PayloadFormat::Kurir, public_url).filter(|_| is_test)).ok_or("format")
    }

    pub(super) async fn exchange(&self, asking: &DeliveryAttempt, body: RequestBody) -> (AttemptRecord, ExchangeEnd) {
        let (endpoint, attempts) = (&self.endpoint.id, self.endpoint.retry_policy.attempts());
        let DeliveryAttempt { event, attempt, .. } = asking;
        let kind = &event.kind;
        info!(event.id = %event.id, endpoint.id = %endpoint, "Sending webhook {kind} (attempt {attempt}/{attempts})");

        let mut taken = AttemptTiming::now();
        let is_replay = asking.place.as_ref().is_some_and(|place| place.replay.is_some());
        let meta = RequestMeta { at: taken.at.unix_timestamp(), is_replay, traced: self.tools.traced };
        let request = self.template.request(event, body, &meta);
        self.metrics.in_delivery.inc();
        let outcome = AttemptOutcome::of(self.http.exchange(request, self.endpoint.timeout).await);
        self.metrics.in_delivery.dec();
        taken.duration = taken.began.elapsed();

        let duration_ms = taken.duration.as_millis() as u64;
        match outcome {
            AttemptOutcome::Delivered { status, headers } => {
                info!(event.id = %event.id, endpoint.id = %endpoint, "Webhook sent successfully: {kind} ({status} after {duration_ms} ms)");
                let result = AttemptResult::Delivered { status, headers: head(&headers) };
                (self.record(asking, result, &taken), ExchangeEnd::Delivered { status })
            }
            AttemptOutcome::Failed(failure) => {
                warn!(event.id = %event.id, endpoint.id = %endpoint, duration_ms, "Webhook attempt {attempt} failed: {failure}");
                (self.record(asking, failure.recorded(), &taken), ExchangeEnd::Failed(Box::new(failure)))
            }
        }
    }

    /// The policy's decision, in time of day.
    pub(super) fn follows(&self, asking: &DeliveryAttempt, failure: &AttemptFailure) -> NextStep {
        let DeliveryAttempt { event, attempt, probe, .. } = asking;
        let (endpoint, now) = (&self.endpoint.id, OffsetDateTime::now_utc());
        let asked = failure.retry_after.map(|asked| asked.from(SystemTime::now()));
        match self.endpoint.retry_policy.after(*attempt, failure.status, asked, rand::random()) {
            RetryDecision::Disable => NextStep::Disable,
            // Its attempt is not spent. It waits with the retries, so that the next probe is another event: one that a
            // receiver cannot bear must not keep it from all others.
            RetryDecision::Retry { .. } | RetryDecision::GiveUp if *probe => {
                NextStep::Attempt { attempt: *attempt, at: due_at(now, PROBED_AGAIN) }
            }
            RetryDecision::Retry { attempt: next, delay } => {
                info!(event.id = %event.id, endpoint.id = %endpoint, "Retrying webhook in {}ms", delay.as_millis());
                NextStep::Attempt { attempt: next, at: due_at(now, delay) }
            }
            RetryDecision::GiveUp => {
                warn!(event.id = %event.id, endpoint.id = %endpoint, "All webhook attempts failed for event: {}", event.kind);
                self.metrics.dead_letters.inc();
                NextStep::Nothing
            }
        }
    }

    /// The record of an event that is not sent.
    pub(super) fn filtered(&self, asking: &DeliveryAttempt, by: &'static str) -> AttemptRecord {
        self.record(asking, AttemptResult::Filtered { by: by.to_owned() }, &AttemptTiming::now())
    }

    fn record(&self, asking: &DeliveryAttempt, result: AttemptResult, taken: &AttemptTiming) -> AttemptRecord {
        let DeliveryAttempt { event, attempt, place, .. } = asking;
        self.metrics.attempt(&result, taken.duration);
        AttemptRecord {
            event_id: event.id.clone(),
            event: event.kind.clone(),
            endpoint: self.endpoint.id.clone(),
            sequence: event.sequence,
            attempt: *attempt,
            result,
            duration_ms: taken.duration.as_millis() as u64,
            at: clock::iso(taken.at),
            replay: place.as_ref().and_then(|place| place.replay.clone()),
        }
    }
}
