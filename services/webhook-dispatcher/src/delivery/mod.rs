//! One attempt, from the message to its settlement: [`Deliverer::deliver`] shows every step.
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

pub use event::{Event, session_of};
use exchange::{Asking, Ended, Follows};
pub use media::Files;
pub use message::{Desk, Pending};
pub use ordered::{Entry, OrderedEnd, Tried};
pub use outcome::{Failure, Outcome, RetryAfter, head};
pub use request::request_uri;
pub use retry_policy::{Decision, RetryPolicy};
pub use schedule::Again;
pub use store::{Message as StoreMessage, store};
pub use transport::Transport;
pub use verdict::{Told, Verdict};

use crate::{
    endpoints::{Endpoint, RetriesConsumer, Source},
    metrics::{DeliveryMetrics, EndpointMetrics},
};
use async_nats::Message;
use attempt_log::AttemptLog;
use dead_letters::DeadLetters;
use http_client::{ClientSettings, HttpClient};
use kurir_chassis::broker::Broker;
use kurir_contract::{address_guard::NetworkList, delivery::AttemptRecord};
use request::{Body, Template};
use schedule::{Due, Next, Place, Schedule};
use settlement::Settlement;
use std::{sync::Arc, time::Duration};
use tracing::{Instrument as _, warn};

/// A message that could not be read or whose event could not be fetched is looked at again so much later.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What the deliveries to all endpoints share.
pub struct Tools {
    pub broker: Broker,
    schedule: Schedule,
    dead_letters: DeadLetters,
    attempts: AttemptLog,
    transport: Transport,
    /// Into these, endpoints of the API may lead although they are nobody's business.
    allowed: NetworkList,
    /// What is counted, of each endpoint.
    pub metrics: DeliveryMetrics,
    /// Where others reach the API: links to media begin with it.
    public_url: Option<String>,
    /// The files of received messages.
    files: Files,
    /// A collector takes our spans. Without one there are none: they would cost every delivery.
    traced: bool,
}

/// What of [`Tools`] the settings say.
pub struct ToolSettings {
    pub allowed: NetworkList,
    pub metrics: DeliveryMetrics,
    pub public_url: Option<String>,
    pub files: Files,
    pub traced: bool,
}

impl Tools {
    /// # Errors
    /// If the client is at its end.
    pub async fn new(
        broker: Broker,
        attempts: AttemptLog,
        transport: Transport,
        settings: ToolSettings,
    ) -> anyhow::Result<Self> {
        let ToolSettings { allowed, metrics, public_url, files, traced } = settings;
        Ok(Self {
            schedule: Schedule::open(broker.clone()).await?,
            dead_letters: DeadLetters::new(broker.clone()),
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
pub struct Deliverer {
    endpoint: Arc<Endpoint>,
    http: HttpClient,
    template: Template,
    settlement: Settlement,
    metrics: EndpointMetrics,
    tools: Arc<Tools>,
}

/// What a message asks for.
enum Asked {
    Attempt(Box<Asking>),
    /// Nothing, and why.
    Nothing(&'static str),
    /// An attempt whose event is gone.
    Lost(Due),
}

impl Deliverer {
    /// # Errors
    /// If the endpoint's URL or headers cannot be used.
    pub fn new(endpoint: Arc<Endpoint>, tools: Arc<Tools>) -> anyhow::Result<Self> {
        let http = HttpClient::new(&ClientSettings {
            url: &endpoint.url,
            connections: endpoint.concurrency + endpoint.retry_concurrency(),
            guard: endpoint.guarded.then(|| tools.allowed.clone()),
            transport: &tools.transport,
        })?;
        Ok(Self {
            template: Template::new(&endpoint)?,
            http,
            settlement: Settlement {
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
    pub async fn deliver(&self, source: Source, pending: Pending, message: Message, probe: bool) -> Told {
        let asked = match source {
            Source::Events if !pending.is_redelivered() => Ok(fresh(&pending, message)),
            _ => Box::pin(self.look_up(source, &pending, message)).await,
        };
        let verdict = match asked {
            Ok(Asked::Attempt(mut asking)) => {
                asking.probe = probe;
                return self.ask_of(pending, *asking).await;
            }
            Ok(Asked::Nothing(why)) => {
                tracing::debug!("nothing to deliver: {why}");
                pending.acknowledge().await;
                Verdict::Untried
            }
            Ok(Asked::Lost(due)) => {
                let kind = event::kind_of(&due.event_subject);
                warn!(event.id = %due.event_id, "All webhook attempts failed for event: {kind}: it is gone from EVENTS");
                Box::pin(self.settlement.lost(pending, &due, &kind)).await;
                Verdict::Untried
            }
            Err(error) => {
                warn!("a webhook delivery is looked at again in {} s: {error:#}", LOOK_AGAIN.as_secs());
                Box::pin(pending.postpone(LOOK_AGAIN)).await;
                Verdict::Untried
            }
        };
        Told { verdict, probe, retry_kept: false }
    }

    async fn ask_of(&self, pending: Pending, asking: Asking) -> Told {
        let filled = if self.endpoint.base64 { self.tools.files.fill(&asking.event).await } else { None };
        let body = match self.wanted(filled.as_ref().map_or(&asking.event, |filled| &filled.event)) {
            Ok(body) => body,
            Err(by) => {
                let record = self.filtered(&asking, by);
                Box::pin(self.settlement.filtered(pending, &asking.event, record, by)).await;
                return Told { verdict: Verdict::Untried, probe: asking.probe, retry_kept: false };
            }
        };
        if !self.tools.traced {
            return self.attempt(pending, asking, body).await;
        }
        let span = asking.span();
        Box::pin(self.attempt(pending, asking, body).instrument(span)).await
    }

    async fn attempt(&self, pending: Pending, asking: Asking, body: Body) -> Told {
        match self.exchange(&asking, body).await {
            (record, Ended::Delivered { status }) => {
                self.settlement.delivered(pending, &asking.event, record, status).await;
                Told { verdict: Verdict::Succeeded, probe: asking.probe, retry_kept: false }
            }
            (record, Ended::Failed(failure)) => Box::pin(self.failed(pending, asking, record, *failure)).await,
        }
    }

    async fn failed(&self, pending: Pending, asking: Asking, record: AttemptRecord, failure: Failure) -> Told {
        let follows = self.follows(&asking, &failure);
        let Asking { event, place, probe, .. } = asking;
        let mut told = Told { verdict: Verdict::Failed { reason: failure.reason.clone() }, probe, retry_kept: false };
        match follows {
            Follows::Disable => {
                self.settlement.untouched(pending, record).await;
                told.verdict = Verdict::Gone { reason: failure.reason };
            }
            Follows::AttemptRecord { attempt, at } => {
                let place = place.unwrap_or_else(|| Place::live(Place::NO_CHAT.to_owned()));
                let next = Next { attempt, at, place };
                told.retry_kept = self.settlement.retry(pending, &event, record, &next).await;
            }
            Follows::Nothing => self.settlement.dead(pending, &event, record, &failure).await,
        }
        told
    }

    /// What is asked for by a message that is no fresh event: the broker must be asked first.
    async fn look_up(&self, source: Source, pending: &Pending, message: Message) -> anyhow::Result<Asked> {
        let (endpoint, schedule) = (&self.endpoint.id, &self.tools.schedule);
        match source {
            Source::Events => {
                let place = Place::live(Place::NO_CHAT.to_owned());
                if schedule.holds_retry_of(endpoint, &place, pending.sequence()).await? {
                    return Ok(Asked::Nothing("its first attempt was made and its retry is kept"));
                }
                Ok(fresh(pending, message))
            }
            Source::Retries => {
                // Only a foreign publisher can have put such a message there; it would come back for ever.
                let due = match Schedule::read(&message) {
                    Ok(due) => due,
                    Err(error) => {
                        warn!("a message in RETRIES is no webhook retry and is dropped: {error:#}");
                        return Ok(Asked::Nothing("it is no retry"));
                    }
                };
                if pending.is_redelivered() && schedule.holds_successor_of(endpoint, &due, pending.sequence()).await? {
                    return Ok(Asked::Nothing("this attempt was made and the next one is kept"));
                }
                Ok(match schedule.event(endpoint, &due).await? {
                    Some(event) => {
                        let (attempt, place) = (due.attempt, Some(due.place));
                        Asked::Attempt(Box::new(Asking { event, attempt, place, probe: false }))
                    }
                    None => Asked::Lost(due),
                })
            }
        }
    }
}

fn fresh(pending: &Pending, message: Message) -> Asked {
    let Message { subject, payload, headers, .. } = message;
    let event = Event::new(subject, pending.sequence(), headers, payload);
    Asked::Attempt(Box::new(Asking { event, attempt: 1, place: None, probe: false }))
}
