//! Delivers to one endpoint: [`EndpointDeliverer::deliver`] shows every step, from the message to its settlement.

use crate::{
    delivery::{
        attempt::{DeliveryAttempt, ExchangeEnd, FailureDecision, NextStep},
        context::DeliveryContext,
        http_client::{ClientSettings, HttpClient},
        outcome::AttemptFailure,
        receiver_health::ReceiverHealth,
        request::{RequestBody, RequestTemplate},
        result::{DeliveryResult, EndpointVerdict},
        settlement::{AttemptSettlement, DeliveryEnd},
    },
    endpoint::Endpoint,
    event::{StoredEvent, kind_of},
    jetstream::{
        consumer::{PullSource, RetriesConsumer},
        pending_message::PendingMessage,
        retry_queue::{DueRetry, NextRetry, RetryQueue, RetryScope},
    },
    metrics::EndpointMetrics,
};
use async_nats::Message;
use kurir_contract::delivery::AttemptRecord;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tracing::{Instrument as _, warn};

/// Wait after a message that could not be read, or whose event could not be read.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Delivers to one endpoint.
pub struct EndpointDeliverer {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) http: HttpClient,
    pub(super) template: RequestTemplate,
    pub(super) settlement: AttemptSettlement,
    pub(super) metrics: EndpointMetrics,
    pub(super) context: Arc<DeliveryContext>,
    health: Arc<Mutex<ReceiverHealth>>,
}

/// What a message asks for.
enum WorkItem {
    Attempt(Box<DeliveryAttempt>),
    /// Nothing, and why.
    Nothing(&'static str),
    /// An attempt whose event is gone.
    Lost(DueRetry),
}

impl EndpointDeliverer {
    /// # Errors
    /// If the endpoint's URL or headers cannot be used.
    pub fn new(endpoint: Arc<Endpoint>, context: Arc<DeliveryContext>) -> anyhow::Result<Self> {
        let http = HttpClient::new(&ClientSettings {
            endpoint: &endpoint.id,
            url: &endpoint.url,
            connections: endpoint.concurrency + endpoint.retry_concurrency(),
            guard: endpoint.guarded.then(|| context.allowed.clone()),
            connection: &endpoint.connection,
            transport: &context.transport,
        })?;
        Ok(Self {
            template: RequestTemplate::new(&endpoint)?,
            http,
            settlement: AttemptSettlement {
                endpoint: endpoint.id.clone(),
                context: Arc::clone(&context),
                retries_consumer: RetriesConsumer::new(Arc::clone(&endpoint)),
            },
            metrics: context.metrics.for_endpoint(&endpoint.id),
            endpoint,
            context,
            health: Arc::default(),
        })
    }

    /// Continues with what an earlier deliverer has seen of the same receiver.
    #[must_use]
    pub fn with_health_of(self, earlier: &Self) -> Self {
        Self { health: Arc::clone(&earlier.health), ..self }
    }

    pub(super) fn health(&self) -> MutexGuard<'_, ReceiverHealth> {
        // Nothing can panic while it holds this lock.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The metrics of the endpoint.
    #[must_use]
    pub fn metrics(&self) -> &EndpointMetrics {
        &self.metrics
    }

    /// Makes the attempt that a message asks for, and settles the message. If the future is dropped, the message is
    /// given back.
    ///
    /// The rare branches are boxed, so that the common future is small: it is moved for every event.
    pub async fn deliver(
        &self,
        source: PullSource,
        pending: PendingMessage,
        message: Message,
        probe: bool,
    ) -> DeliveryResult {
        let work = match source {
            PullSource::Events if !pending.is_redelivered() => Ok(first_attempt(&pending, message)),
            _ => Box::pin(self.find_work(source, &pending, message)).await,
        };
        let verdict = match work {
            Ok(WorkItem::Attempt(mut delivery)) => {
                delivery.probe = probe;
                return self.deliver_event(pending, *delivery).await;
            }
            Ok(WorkItem::Nothing(why)) => {
                tracing::debug!("nothing to deliver: {why}");
                pending.acknowledge().await;
                EndpointVerdict::Untried
            }
            Ok(WorkItem::Lost(due)) => {
                let kind = kind_of(&due.event_subject);
                warn!(event.id = %due.event_id, "All webhook attempts failed for event: {kind}: it is gone from EVENTS");
                Box::pin(self.settlement.settle_lost(pending, &due, &kind)).await;
                EndpointVerdict::Untried
            }
            Err(error) => {
                warn!(
                    "failed to prepare a webhook delivery, which is tried again in {} s: {error:#}",
                    TRY_AGAIN_AFTER.as_secs()
                );
                Box::pin(pending.postpone(TRY_AGAIN_AFTER)).await;
                EndpointVerdict::Untried
            }
        };
        DeliveryResult { verdict, took: Duration::ZERO, probe, retry_stored: false }
    }

    async fn deliver_event(&self, pending: PendingMessage, delivery: DeliveryAttempt) -> DeliveryResult {
        let filled = if self.endpoint.base64 { self.context.media.embed(&delivery.event).await } else { None };
        let body = match self.render_body(filled.as_ref().map_or(&delivery.event, |filled| &filled.event)) {
            Ok(body) => body,
            Err(by) => {
                let record = self.record_filtered(&delivery, by);
                Box::pin(self.settlement.settle_filtered(pending, &delivery.event, record, by)).await;
                return DeliveryResult {
                    verdict: EndpointVerdict::Untried,
                    took: Duration::ZERO,
                    probe: delivery.probe,
                    retry_stored: false,
                };
            }
        };
        let Some(span) = delivery.span(&self.endpoint.id, self.context.traced) else {
            return self.make_attempt(pending, delivery, body).await;
        };
        Box::pin(self.make_attempt(pending, delivery, body).instrument(span)).await
    }

    async fn make_attempt(
        &self,
        pending: PendingMessage,
        delivery: DeliveryAttempt,
        body: RequestBody,
    ) -> DeliveryResult {
        match self.send(&delivery, body).await {
            (record, ExchangeEnd::Delivered { status }) => {
                let took = Duration::from_millis(record.duration_ms);
                self.settlement.settle_delivered(pending, &delivery.event, record, status).await;
                DeliveryResult { verdict: EndpointVerdict::Succeeded, took, probe: delivery.probe, retry_stored: false }
            }
            (record, ExchangeEnd::Failed(failure)) => {
                Box::pin(self.settle_failure(pending, delivery, record, *failure)).await
            }
        }
    }

    async fn settle_failure(
        &self,
        pending: PendingMessage,
        delivery: DeliveryAttempt,
        record: AttemptRecord,
        failure: AttemptFailure,
    ) -> DeliveryResult {
        let decision = self.decide_next_step(&delivery, &failure);
        let waits_for_receiver = decision.waits_for_receiver();
        let FailureDecision { next_step, verdict } = decision;
        let DeliveryAttempt { event, attempt, scope, probe } = delivery;
        let took = Duration::from_millis(record.duration_ms);
        let mut result = DeliveryResult { verdict, took, probe, retry_stored: false };
        match next_step {
            NextStep::Disable => self.settlement.give_back(pending, record).await,
            NextStep::Attempt { attempt: next, at } => {
                let scope = scope.unwrap_or_else(|| RetryScope::live(RetryScope::NO_CHAT.to_owned()));
                let next = NextRetry { attempt: next, at, scope };
                let body = record.result.refused_body().map(str::to_owned);
                self.settlement.settle_retry(pending, &event, record, &next).await;
                result.retry_stored = true;
                let (status, error, retried) = (failure.status, Some(failure.reason.as_str()), !waits_for_receiver);
                let end = DeliveryEnd { attempt, status, error, body: body.as_deref(), retried };
                self.settlement.publish_report(&event, &end).await;
            }
            NextStep::Nothing => self.settlement.settle_dead(pending, &event, record, &failure).await,
        }
        result
    }

    /// What a message asks for that is no fresh event: NATS must be asked first.
    async fn find_work(
        &self,
        source: PullSource,
        pending: &PendingMessage,
        message: Message,
    ) -> anyhow::Result<WorkItem> {
        let (endpoint, retries) = (&self.endpoint.id, &self.context.retries);
        match source {
            PullSource::Events => {
                let scope = RetryScope::live(RetryScope::NO_CHAT.to_owned());
                let WorkItem::Attempt(first) = first_attempt(pending, message) else {
                    return Ok(WorkItem::Nothing("it is no event"));
                };
                if retries.has_retry(endpoint, &scope, pending.sequence(), &first.event.id).await? {
                    return Ok(WorkItem::Nothing("its first attempt was made and its retry is stored"));
                }
                Ok(WorkItem::Attempt(first))
            }
            PullSource::Retries => {
                // Only a foreign publisher can have stored such a message. It would come back forever.
                let due = match RetryQueue::parse_due(&message) {
                    Ok(due) => due,
                    Err(error) => {
                        warn!("dropped a message in RETRIES that is no webhook retry: {error:#}");
                        return Ok(WorkItem::Nothing("it is no retry"));
                    }
                };
                if pending.is_redelivered() && retries.has_later_retry(endpoint, &due, pending.sequence()).await? {
                    return Ok(WorkItem::Nothing("this attempt was made and the next one is stored"));
                }
                Ok(match retries.read_event(endpoint, &due).await? {
                    Some(event) => {
                        let (attempt, scope) = (due.attempt, Some(due.scope));
                        WorkItem::Attempt(Box::new(DeliveryAttempt { event, attempt, scope, probe: false }))
                    }
                    None => WorkItem::Lost(due),
                })
            }
        }
    }
}

fn first_attempt(pending: &PendingMessage, message: Message) -> WorkItem {
    let Message { subject, payload, headers, .. } = message;
    let event = StoredEvent::new(subject, pending.sequence(), headers, payload);
    let event = StoredEvent { stored_at: pending.stored_at(), ..event };
    WorkItem::Attempt(Box::new(DeliveryAttempt { event, attempt: 1, scope: None, probe: false }))
}
