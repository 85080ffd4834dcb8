//! One attempt, from the message to its settlement: [`EndpointDeliverer::deliver`] shows every step.
//!
//! `message` is what must be settled, `event` what it is about; `format` writes it as its endpoint wants it (`media` puts a file into it), `request`
//! and `signature` make the request, `http_client` the exchange (to where `resolver` allows, over what `transport`
//! shares); `exchange` is all of that in one. `outcome` judges it, `retry_policy` says what follows, `settlement` makes it last: in `schedule`,
//! `dead_letters` and the `attempt_log`, each through `store`. An endpoint that keeps its chats in order settles by
//! `ordered` instead.

pub mod attempt_log;
mod dead_letters;
mod event;
mod exchange;
pub mod format;
mod http_client;
mod media;
mod message;
mod ordered;
mod outcome;
mod request;
mod resolver;
mod retry_policy;
mod schedule;
mod settlement;
pub mod signature;
mod store;
mod transport;
mod verdict;

pub use event::{StoredEvent, session_of};
use exchange::{DeliveryAttempt, ExchangeEnd, NextStep};
pub use media::MediaEmbedder;
pub use message::{AckTracker, PendingMessage};
pub use ordered::{OrderedEnd, OrderedResult, ParkedEntry};
pub use outcome::{AttemptFailure, AttemptOutcome, RetryAfter, head};
pub use request::request_uri;
pub use retry_policy::{RetryDecision, RetryPolicy};
pub use schedule::ReplayEntry;
pub use store::{OutgoingMessage, store};
pub use transport::Transport;
pub use verdict::{DeliveryResult, EndpointVerdict};

use crate::{
    endpoints::{Endpoint, PullSource, RetriesConsumer},
    metrics::{DeliveryMetrics, EndpointMetrics},
};
use async_nats::Message;
use attempt_log::AttemptLog;
use dead_letters::DeadLetterStore;
use http_client::{ClientSettings, HttpClient};
use kurir_chassis::broker::Broker;
use kurir_contract::{address_guard::NetworkList, delivery::AttemptRecord};
use request::{RequestBody, RequestTemplate};
use schedule::{DueRetry, NextRetry, RetryQueue, RetryScope};
use settlement::AttemptSettlement;
use std::{sync::Arc, time::Duration};
use tracing::{Instrument as _, warn};

/// A message that could not be read or whose event could not be fetched is looked at again so much later.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What the deliveries to all endpoints share.
pub struct DeliveryContext {
    pub broker: Broker,
    schedule: RetryQueue,
    dead_letters: DeadLetterStore,
    attempts: AttemptLog,
    transport: Transport,
    /// Into these, endpoints of the API may lead although they are nobody's business.
    allowed: NetworkList,
    /// What is counted, of each endpoint.
    pub metrics: DeliveryMetrics,
    /// Where others reach the API: links to media begin with it.
    public_url: Option<String>,
    /// The files of received messages.
    files: MediaEmbedder,
    /// A collector takes our spans. Without one there are none: they would cost every delivery.
    traced: bool,
}

/// What of [`DeliveryContext`] the settings say.
pub struct DeliverySettings {
    pub allowed: NetworkList,
    pub metrics: DeliveryMetrics,
    pub public_url: Option<String>,
    pub files: MediaEmbedder,
    pub traced: bool,
}

impl DeliveryContext {
    /// # Errors
    /// If the client is at its end.
    pub async fn new(
        broker: Broker,
        attempts: AttemptLog,
        transport: Transport,
        settings: DeliverySettings,
    ) -> anyhow::Result<Self> {
        let DeliverySettings { allowed, metrics, public_url, files, traced } = settings;
        Ok(Self {
            schedule: RetryQueue::open(broker.clone()).await?,
            dead_letters: DeadLetterStore::new(broker.clone()),
            broker,
            attempts,
            transport,
            allowed,
            metrics,
            public_url,
            files,
            traced,
        })
    }
}

/// Delivers to one endpoint.
pub struct EndpointDeliverer {
    endpoint: Arc<Endpoint>,
    http: HttpClient,
    template: RequestTemplate,
    settlement: AttemptSettlement,
    metrics: EndpointMetrics,
    tools: Arc<DeliveryContext>,
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
                let kind = event::kind_of(&due.event_subject);
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
        let mut told = DeliveryResult {
            verdict: EndpointVerdict::Failed { reason: failure.reason.clone() },
            probe,
            retry_kept: false,
        };
        match follows {
            NextStep::Disable => {
                self.settlement.untouched(pending, record).await;
                told.verdict = EndpointVerdict::Gone { reason: failure.reason };
            }
            NextStep::Attempt { attempt, at } => {
                let place = place.unwrap_or_else(|| RetryScope::live(RetryScope::NO_CHAT.to_owned()));
                let next = NextRetry { attempt, at, place };
                told.retry_kept = self.settlement.retry(pending, &event, record, &next).await;
            }
            NextStep::Nothing => self.settlement.dead(pending, &event, record, &failure).await,
        }
        told
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
