//! One attempt, from the message to its settlement: [`Deliverer::deliver`] shows every step.
//!
//! `message` is what must be settled, `event` what it is about; `request` and `http_client` make the exchange,
//! `outcome` judges it, `retry_policy` says what follows, `settlement` makes it last: in `schedule`, `dead_letters` and
//! the `attempt_log`, each through `store`.

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

pub use event::Event;
pub use message::{Desk, Pending};
pub use outcome::{Failure, Outcome, RetryAfter, head};
pub use request::request_uri;
pub use retry_policy::{Decision, RetryPolicy};
pub use transport::Transport;

use crate::endpoints::{Endpoint, Source};
use async_nats::Message;
use attempt_log::AttemptLog;
use dead_letters::DeadLetters;
use http_client::{ClientSettings, HttpClient};
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    clock,
    delivery::{Attempt, AttemptResult},
};
use request::Template;
use schedule::{Due, Schedule};
use settlement::Settlement;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use time::OffsetDateTime;
use tracing::{Instrument as _, info, warn};

/// A message that could not be read or whose event could not be fetched is looked at again so much later.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Delivers to one endpoint.
pub struct Deliverer {
    endpoint: Arc<Endpoint>,
    http: HttpClient,
    template: Template,
    settlement: Settlement,
    /// A collector takes our spans. Without one there are none: they would cost every delivery.
    traced: bool,
}

/// What a message asks for.
enum Asked {
    Attempt {
        event: Event,
        attempt: u32,
    },
    /// Nothing, and why.
    Nothing(&'static str),
    /// An attempt whose event is gone.
    Lost(Due),
}

impl Deliverer {
    /// # Errors
    /// If the endpoint's URL cannot be used.
    pub async fn new(
        endpoint: Arc<Endpoint>,
        broker: Broker,
        attempts: AttemptLog,
        traced: bool,
    ) -> anyhow::Result<Self> {
        let http = HttpClient::new(&ClientSettings {
            url: &endpoint.url,
            connections: endpoint.concurrency + endpoint.retry_concurrency(),
            guard: None,
            transport: &Transport::new(None)?,
        })?;
        let id = endpoint.id.clone();
        Ok(Self {
            template: Template::new(&endpoint)?,
            http,
            settlement: Settlement {
                schedule: Schedule::open(broker.clone(), id.clone()).await?,
                dead_letters: DeadLetters::new(broker.clone(), id.clone()),
                attempts,
                client: broker.client,
                endpoint: id,
            },
            endpoint,
            traced,
        })
    }

    /// Makes the attempt that a message asks for, and settles it. Dropped before its end, it gives the message back.
    ///
    /// The rare ways are boxed, so that the usual one is small: it is moved about for every event.
    pub async fn deliver(&self, source: Source, pending: Pending, message: Message) {
        let asked = match source {
            Source::Events if !pending.is_redelivered() => {
                let Message { subject, payload, headers, .. } = message;
                self.unless_about_us(Event::new(subject, pending.sequence(), headers, payload), 1)
            }
            _ => match Box::pin(self.look_up(source, &pending, message)).await {
                Ok(asked) => asked,
                Err(error) => {
                    warn!("a webhook delivery is looked at again in {} s: {error:#}", LOOK_AGAIN.as_secs());
                    return Box::pin(pending.postpone(LOOK_AGAIN)).await;
                }
            },
        };
        match asked {
            Asked::Attempt { event, attempt } if self.traced => {
                let span = tracing::info_span!("webhook", event.id = %event.id, attempt.number = attempt);
                trace_context::adopt(&span, event.headers.as_ref());
                Box::pin(self.attempt(pending, &event, attempt).instrument(span)).await;
            }
            Asked::Attempt { event, attempt } => self.attempt(pending, &event, attempt).await,
            Asked::Nothing(why) => {
                tracing::debug!("nothing to deliver: {why}");
                pending.acknowledge().await;
            }
            Asked::Lost(due) => {
                let kind = event::kind_of(&due.event_subject);
                warn!(event.id = %due.event_id, "All webhook attempts failed for event: {kind}: it is gone from EVENTS");
                Box::pin(self.settlement.lost(pending, &due, &kind)).await;
            }
        }
    }

    async fn attempt(&self, pending: Pending, event: &Event, attempt: u32) {
        let (endpoint, attempts) = (&self.endpoint.id, self.endpoint.retry_policy.attempts());
        let kind = &event.kind;
        info!(event.id = %event.id, endpoint.id = %endpoint, "Sending webhook {kind} (attempt {attempt}/{attempts})");

        let (at, begun) = (OffsetDateTime::now_utc(), Instant::now());
        let request = self.template.request(event, self.traced);
        let outcome = Outcome::of(self.http.exchange(request, self.endpoint.timeout).await);
        let duration = begun.elapsed();

        match outcome {
            Outcome::Delivered { status, .. } => {
                let duration_ms = duration.as_millis() as u64;
                info!(event.id = %event.id, endpoint.id = %endpoint, "Webhook sent successfully: {kind} ({status} after {duration_ms} ms)");
                let record = self.record(event, attempt, AttemptResult::Delivered { status }, at, duration);
                self.settlement.delivered(pending, event, record, status).await;
            }
            Outcome::Failed(failure) => {
                let record = self.record(event, attempt, failure.result.clone(), at, duration);
                Box::pin(self.failed(pending, event, record, failure)).await;
            }
        }
    }

    async fn failed(&self, pending: Pending, event: &Event, record: Attempt, failure: Failure) {
        let (endpoint, attempt, duration_ms) = (&self.endpoint.id, record.attempt, record.duration_ms);
        warn!(event.id = %event.id, endpoint.id = %endpoint, duration_ms, "Webhook attempt {attempt} failed: {failure}");
        let asked = failure.retry_after.map(|asked| asked.from(SystemTime::now()));
        match self.endpoint.retry_policy.after(attempt, failure.status, asked, rand::random()) {
            Decision::Retry { attempt: next, delay } => {
                info!(event.id = %event.id, endpoint.id = %endpoint, "Retrying webhook in {}ms", delay.as_millis());
                let due = retry_policy::due_at(OffsetDateTime::now_utc(), delay);
                self.settlement.retry(pending, event, record, next, due).await;
            }
            // No policy asks for the second yet.
            Decision::GiveUp | Decision::Disable => {
                warn!(event.id = %event.id, endpoint.id = %endpoint, "All webhook attempts failed for event: {}", event.kind);
                self.settlement.dead(pending, event, record, &failure).await;
            }
        }
    }

    /// What is asked for by a message that is no fresh event: the broker must be asked first.
    async fn look_up(&self, source: Source, pending: &Pending, message: Message) -> anyhow::Result<Asked> {
        let schedule = &self.settlement.schedule;
        match source {
            Source::Events => {
                if pending.is_redelivered() && schedule.holds_retry_of(pending.sequence()).await? {
                    return Ok(Asked::Nothing("its first attempt was made and its retry is kept"));
                }
                let Message { subject, payload, headers, .. } = message;
                Ok(self.unless_about_us(Event::new(subject, pending.sequence(), headers, payload), 1))
            }
            Source::Retries => {
                // Only a foreign publisher can have put such a message there; it would come back for ever.
                let due = match Schedule::read(&message) {
                    Ok(due) => due,
                    Err(error) => {
                        warn!("a message in RETRIES is no retry and is dropped: {error:#}");
                        return Ok(Asked::Nothing("it is no retry"));
                    }
                };
                if pending.is_redelivered() && schedule.holds_successor_of(&due, pending.sequence()).await? {
                    return Ok(Asked::Nothing("this attempt was made and the next one is kept"));
                }
                Ok(match schedule.event(&due).await? {
                    Some(event) => self.unless_about_us(event, due.attempt),
                    None => Asked::Lost(due),
                })
            }
        }
    }

    fn unless_about_us(&self, event: Event, attempt: u32) -> Asked {
        if event.is_not_for(&self.endpoint.id) {
            return Asked::Nothing("the event is about this endpoint");
        }
        Asked::Attempt { event, attempt }
    }

    fn record(
        &self,
        event: &Event,
        attempt: u32,
        result: AttemptResult,
        at: OffsetDateTime,
        duration: Duration,
    ) -> Attempt {
        Attempt {
            event_id: event.id.clone(),
            event: event.kind.clone(),
            endpoint: self.endpoint.id.clone(),
            sequence: event.sequence,
            attempt,
            result,
            duration_ms: duration.as_millis() as u64,
            at: clock::iso(at),
        }
    }
}
