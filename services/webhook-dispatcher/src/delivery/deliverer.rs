//! One attempt, from the message to its settlement: [`EndpointDeliverer::deliver`] shows every step.
//!
//! `message` is what must be settled, `event` what it is about; `format` writes it as its endpoint wants it (`media` puts a file into it), `request`
//! and `signature` make the request, `http_client` the exchange (to where `resolver` allows, over what `transport`
//! shares); `exchange` is all of that in one. `outcome` judges it, `retry_policy` says what follows, `settlement` makes it last: in `schedule`,
//! `dead_letters` and the `attempt_log`, each through `store`. An endpoint that keeps its chats in order settles by
//! `ordered` instead.

use crate::{
    delivery::{
        attempt::{DeliveryAttempt, ExchangeEnd, NextStep},
        context::DeliveryContext,
        http_client::{ClientSettings, HttpClient},
        outcome::AttemptFailure,
        request::{RequestBody, RequestTemplate},
        result::{DeliveryResult, EndpointVerdict},
        settlement::AttemptSettlement,
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
use std::{sync::Arc, time::Duration};
use tracing::{Instrument as _, warn};

/// A message that could not be read or whose event could not be fetched is looked at again so much later.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Delivers to one endpoint.
pub struct EndpointDeliverer {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) http: HttpClient,
    pub(super) template: RequestTemplate,
    pub(super) settlement: AttemptSettlement,
    pub(super) metrics: EndpointMetrics,
    pub(super) tools: Arc<DeliveryContext>,
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
    pub fn new(endpoint: Arc<Endpoint>, tools: Arc<DeliveryContext>) -> anyhow::Result<Self> {
        let http = HttpClient::new(&ClientSettings {
            url: &endpoint.url,
            connections: endpoint.concurrency + endpoint.retry_concurrency(),
            guard: endpoint.guarded.then(|| tools.allowed.clone()),
            transport: &tools.transport,
        })?;
        Ok(Self {
            template: RequestTemplate::new(&endpoint)?,
            http,
            settlement: AttemptSettlement {
                endpoint: endpoint.id.clone(),
                tools: Arc::clone(&tools),
                retries: RetriesConsumer::new(Arc::clone(&endpoint)),
            },
            metrics: tools.metrics.of(&endpoint.id),
            endpoint,
            tools,
        })
    }

    /// What is counted of its endpoint.
    #[must_use]
    pub fn metrics(&self) -> &EndpointMetrics {
        &self.metrics
    }

    /// Makes the attempt that a message asks for, and settles it. Dropped before its end, it gives the message back.
    ///
    /// The rare ways are boxed, so that the usual one is small: it is moved about for every event.
    pub async fn deliver(
        &self,
        source: PullSource,
        pending: PendingMessage,
        message: Message,
        probe: bool,
    ) -> DeliveryResult {
        let asked = match source {
            PullSource::Events if !pending.is_redelivered() => Ok(fresh(&pending, message)),
            _ => Box::pin(self.look_up(source, &pending, message)).await,
        };
        let verdict = match asked {
            Ok(WorkItem::Attempt(mut asking)) => {
                asking.probe = probe;
                return self.ask_of(pending, *asking).await;
            }
            Ok(WorkItem::Nothing(why)) => {
                tracing::debug!("nothing to deliver: {why}");
                pending.acknowledge().await;
                EndpointVerdict::Untried
            }
            Ok(WorkItem::Lost(due)) => {
                let kind = kind_of(&due.event_subject);
                warn!(event.id = %due.event_id, "All webhook attempts failed for event: {kind}: it is gone from EVENTS");
                Box::pin(self.settlement.lost(pending, &due, &kind)).await;
                EndpointVerdict::Untried
            }
            Err(error) => {
                warn!("a webhook delivery is looked at again in {} s: {error:#}", LOOK_AGAIN.as_secs());
                Box::pin(pending.postpone(LOOK_AGAIN)).await;
                EndpointVerdict::Untried
            }
        };
        DeliveryResult { verdict, probe, retry_kept: false }
    }

    async fn ask_of(&self, pending: PendingMessage, asking: DeliveryAttempt) -> DeliveryResult {
        let filled = if self.endpoint.base64 { self.tools.files.fill(&asking.event).await } else { None };
        let body = match self.wanted(filled.as_ref().map_or(&asking.event, |filled| &filled.event)) {
            Ok(body) => body,
            Err(by) => {
                let record = self.filtered(&asking, by);
                Box::pin(self.settlement.filtered(pending, &asking.event, record, by)).await;
                return DeliveryResult { verdict: EndpointVerdict::Untried, probe: asking.probe, retry_kept: false };
            }
        };
        if !self.tools.traced {
            return self.attempt(pending, asking, body).await;
        }
        let span = asking.span();
        Box::pin(self.attempt(pending, asking, body).instrument(span)).await
    }

    async fn attempt(&self, pending: PendingMessage, asking: DeliveryAttempt, body: RequestBody) -> DeliveryResult {
        match self.exchange(&asking, body).await {
            (record, ExchangeEnd::Delivered { status }) => {
                self.settlement.delivered(pending, &asking.event, record, status).await;
                DeliveryResult { verdict: EndpointVerdict::Succeeded, probe: asking.probe, retry_kept: false }
            }
            (record, ExchangeEnd::Failed(failure)) => Box::pin(self.failed(pending, asking, record, *failure)).await,
        }
    }

    async fn failed(
        &self,
        pending: PendingMessage,
        asking: DeliveryAttempt,
        record: AttemptRecord,
        failure: AttemptFailure,
    ) -> DeliveryResult {
        let follows = self.follows(&asking, &failure);
        let DeliveryAttempt { event, place, probe, .. } = asking;
        let mut result = DeliveryResult {
            verdict: EndpointVerdict::Failed { reason: failure.reason.clone() },
            probe,
            retry_kept: false,
        };
        match follows {
            NextStep::Disable => {
                self.settlement.untouched(pending, record).await;
                result.verdict = EndpointVerdict::Gone { reason: failure.reason };
            }
            NextStep::Attempt { attempt, at } => {
                let place = place.unwrap_or_else(|| RetryScope::live(RetryScope::NO_CHAT.to_owned()));
                let next = NextRetry { attempt, at, place };
                result.retry_kept = self.settlement.retry(pending, &event, record, &next).await;
            }
            NextStep::Nothing => self.settlement.dead(pending, &event, record, &failure).await,
        }
        result
    }

    /// What is asked for by a message that is no fresh event: the broker must be asked first.
    async fn look_up(
        &self,
        source: PullSource,
        pending: &PendingMessage,
        message: Message,
    ) -> anyhow::Result<WorkItem> {
        let (endpoint, schedule) = (&self.endpoint.id, &self.tools.schedule);
        match source {
            PullSource::Events => {
                let place = RetryScope::live(RetryScope::NO_CHAT.to_owned());
                if schedule.holds_retry_of(endpoint, &place, pending.sequence()).await? {
                    return Ok(WorkItem::Nothing("its first attempt was made and its retry is kept"));
                }
                Ok(fresh(pending, message))
            }
            PullSource::Retries => {
                // Only a foreign publisher can have put such a message there; it would come back for ever.
                let due = match RetryQueue::read(&message) {
                    Ok(due) => due,
                    Err(error) => {
                        warn!("a message in RETRIES is no webhook retry and is dropped: {error:#}");
                        return Ok(WorkItem::Nothing("it is no retry"));
                    }
                };
                if pending.is_redelivered() && schedule.holds_successor_of(endpoint, &due, pending.sequence()).await? {
                    return Ok(WorkItem::Nothing("this attempt was made and the next one is kept"));
                }
                Ok(match schedule.event(endpoint, &due).await? {
                    Some(event) => {
                        let (attempt, place) = (due.attempt, Some(due.place));
                        WorkItem::Attempt(Box::new(DeliveryAttempt { event, attempt, place, probe: false }))
                    }
                    None => WorkItem::Lost(due),
                })
            }
        }
    }
}

fn fresh(pending: &PendingMessage, message: Message) -> WorkItem {
    let Message { subject, payload, headers, .. } = message;
    let event = StoredEvent::new(subject, pending.sequence(), headers, payload);
    WorkItem::Attempt(Box::new(DeliveryAttempt { event, attempt: 1, place: None, probe: false }))
}
