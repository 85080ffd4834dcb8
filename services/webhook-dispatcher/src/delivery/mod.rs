//! One attempt, from the message to its settlement: [`Deliverer::deliver`] shows every step.
//!
//! `message` is what must be settled, `event` what it is about; `format` writes it as its endpoint wants it, `request`
//! and `signature` make the request, `http_client` the exchange (to where `resolver` allows, over what `transport`
//! shares). `outcome` judges it, `retry_policy` says what follows, `settlement` makes it last: in `schedule`,
//! `dead_letters` and the `attempt_log`, each through `store`.

pub mod attempt_log;
mod dead_letters;
mod event;
pub mod format;
mod http_client;
mod message;
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

pub use event::Event;
pub use message::{Desk, Pending};
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
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    address_guard::Networks,
    clock,
    delivery::{Attempt, AttemptResult},
    endpoint::Format,
};
use request::{Body, Saying, Template};
use schedule::{Due, Next, Place, Schedule};
use settlement::Settlement;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use time::OffsetDateTime;
use tracing::{Instrument as _, info, warn};

/// A message that could not be read or whose event could not be fetched is looked at again so much later.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// An event that was sent as a probe in vain waits so long before it can be one again.
const PROBED_AGAIN: Duration = Duration::from_secs(30);

/// What the deliveries to all endpoints share.
pub struct Tools {
    pub broker: Broker,
    schedule: Schedule,
    dead_letters: DeadLetters,
    attempts: AttemptLog,
    transport: Transport,
    /// Into these, endpoints of the API may lead although they are nobody's business.
    allowed: Networks,
    /// What is counted, of each endpoint.
    pub metrics: DeliveryMetrics,
    /// Where others reach the API: links to media begin with it.
    public_url: Option<String>,
    /// A collector takes our spans. Without one there are none: they would cost every delivery.
    traced: bool,
}

/// What of [`Tools`] the settings say.
pub struct ToolSettings {
    pub allowed: Networks,
    pub metrics: DeliveryMetrics,
    pub public_url: Option<String>,
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
        let ToolSettings { allowed, metrics, public_url, traced } = settings;
        Ok(Self {
            schedule: Schedule::open(broker.clone()).await?,
            dead_letters: DeadLetters::new(broker.clone()),
            broker,
            attempts,
            transport,
            allowed,
            metrics,
            public_url,
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

/// An attempt that is asked for.
struct Asking {
    event: Event,
    /// Counted from 1.
    attempt: u32,
    /// Where its retries belong; none while it is a fresh event.
    place: Option<Place>,
    /// The endpoint's circuit is open, and this tries whether it works again.
    probe: bool,
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
        let body = match self.wanted(&asking.event) {
            Ok(body) => body,
            Err(by) => {
                let record = self.record(&asking, AttemptResult::Filtered { by: by.to_owned() }, &Taken::now());
                Box::pin(self.settlement.filtered(pending, &asking.event, record, by)).await;
                return Told { verdict: Verdict::Untried, probe: asking.probe, retry_kept: false };
            }
        };
        if !self.tools.traced {
            return self.attempt(pending, asking, body).await;
        }
        let span = tracing::info_span!("webhook", event.id = %asking.event.id, attempt.number = asking.attempt);
        trace_context::adopt(&span, asking.event.headers.as_ref());
        Box::pin(self.attempt(pending, asking, body).instrument(span)).await
    }

    /// What the endpoint is sent of an event, or why it is not sent.
    fn wanted(&self, event: &Event) -> Result<Body, &'static str> {
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
        let body = Body::of(event, endpoint.format, public_url);
        // A test shows that the URL works: what the format has nothing for goes as it is stored.
        let is_test = event.kind.as_str() == "test" || event.is_only_for(&endpoint.id);
        body.or_else(|| Body::of(event, Format::Kurir, public_url).filter(|_| is_test)).ok_or("format")
    }

    async fn attempt(&self, pending: Pending, asking: Asking, body: Body) -> Told {
        let (endpoint, attempts) = (&self.endpoint.id, self.endpoint.retry_policy.attempts());
        let Asking { event, attempt, probe, .. } = &asking;
        let (kind, probe) = (&event.kind, *probe);
        info!(event.id = %event.id, endpoint.id = %endpoint, "Sending webhook {kind} (attempt {attempt}/{attempts})");

        let mut taken = Taken::now();
        let is_replay = asking.place.as_ref().is_some_and(|place| place.replay.is_some());
        let saying = Saying { at: taken.at.unix_timestamp(), is_replay, traced: self.tools.traced };
        let request = self.template.request(event, body, &saying);
        let outcome = Outcome::of(self.http.exchange(request, self.endpoint.timeout).await);
        taken.duration = taken.began.elapsed();

        match outcome {
            Outcome::Delivered { status, headers } => {
                let duration_ms = taken.duration.as_millis() as u64;
                info!(event.id = %event.id, endpoint.id = %endpoint, "Webhook sent successfully: {kind} ({status} after {duration_ms} ms)");
                let record = self.record(&asking, AttemptResult::Delivered { status, headers: head(&headers) }, &taken);
                self.settlement.delivered(pending, event, record, status).await;
                Told { verdict: Verdict::Succeeded, probe, retry_kept: false }
            }
            Outcome::Failed(failure) => {
                let record = self.record(&asking, failure.recorded(), &taken);
                Box::pin(self.failed(pending, asking, record, failure)).await
            }
        }
    }

    async fn failed(&self, pending: Pending, asking: Asking, record: Attempt, failure: Failure) -> Told {
        let Asking { event, attempt, place, probe } = asking;
        let (endpoint, duration_ms) = (&self.endpoint.id, record.duration_ms);
        warn!(event.id = %event.id, endpoint.id = %endpoint, duration_ms, "Webhook attempt {attempt} failed: {failure}");
        let asked = failure.retry_after.map(|asked| asked.from(SystemTime::now()));
        let mut told = Told { verdict: Verdict::Failed { reason: failure.reason.clone() }, probe, retry_kept: false };
        match self.endpoint.retry_policy.after(attempt, failure.status, asked, rand::random()) {
            Decision::Disable => {
                self.settlement.untouched(pending, record).await;
                told.verdict = Verdict::Gone { reason: failure.reason };
            }
            // Its attempt is not spent. It waits with the retries, so that the next probe is another event: one that a
            // receiver cannot bear must not keep it from all others.
            Decision::Retry { .. } | Decision::GiveUp if probe => {
                let at = retry_policy::due_at(OffsetDateTime::now_utc(), PROBED_AGAIN);
                let next = Next { attempt, at, place: place.unwrap_or_else(|| Place::live(Place::NO_CHAT.to_owned())) };
                told.retry_kept = self.settlement.retry(pending, &event, record, &next).await;
            }
            Decision::Retry { attempt: next, delay } => {
                info!(event.id = %event.id, endpoint.id = %endpoint, "Retrying webhook in {}ms", delay.as_millis());
                let at = retry_policy::due_at(OffsetDateTime::now_utc(), delay);
                let place = place.unwrap_or_else(|| Place::live(Place::NO_CHAT.to_owned()));
                let next = Next { attempt: next, at, place };
                told.retry_kept = self.settlement.retry(pending, &event, record, &next).await;
            }
            Decision::GiveUp => {
                warn!(event.id = %event.id, endpoint.id = %endpoint, "All webhook attempts failed for event: {}", event.kind);
                self.metrics.dead_letters.inc();
                self.settlement.dead(pending, &event, record, &failure).await;
            }
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

    fn record(&self, asking: &Asking, result: AttemptResult, taken: &Taken) -> Attempt {
        let Asking { event, attempt, place, .. } = asking;
        self.metrics.attempt(&result, taken.duration);
        Attempt {
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

/// When an attempt began, and how long it took.
struct Taken {
    at: OffsetDateTime,
    began: Instant,
    duration: Duration,
}

impl Taken {
    fn now() -> Self {
        Self { at: OffsetDateTime::now_utc(), began: Instant::now(), duration: Duration::ZERO }
    }
}

fn fresh(pending: &Pending, message: Message) -> Asked {
    let Message { subject, payload, headers, .. } = message;
    let event = Event::new(subject, pending.sequence(), headers, payload);
    Asked::Attempt(Box::new(Asking { event, attempt: 1, place: None, probe: false }))
}
