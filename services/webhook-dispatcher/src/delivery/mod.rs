//! One attempt, from the message to its settlement: [`Deliverer::deliver`] shows every step.
//!
//! `message` is what must be settled, `event` what it is about; `request` and `http_client` make the exchange,
//! `outcome` judges it, `retry_policy` says what follows, `settlement` makes it last: in `schedule`, `dead_letters` and
//! the `attempt_log`, each through `store`.

pub mod attempt_log;
mod dead_letters;
mod event;
mod http_client;
mod message;
mod outcome;
mod request;
mod retry_policy;
mod schedule;
mod settlement;
mod store;

pub use event::Event;
pub use message::{Desk, Pending};
pub use outcome::{Failure, Outcome};
pub use retry_policy::{Decision, RetryPolicy};

use crate::endpoints::{Endpoint, Source};
use attempt_log::AttemptLog;
use dead_letters::DeadLetters;
use http_client::HttpClient;
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
    time::{Duration, Instant},
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
    pub async fn new(endpoint: Arc<Endpoint>, broker: Broker, attempts: AttemptLog) -> anyhow::Result<Self> {
        let http = HttpClient::new(endpoint.concurrency + endpoint.retry_concurrency())?;
        let id = endpoint.id.clone();
        Ok(Self {
            template: Template::new(http.client(), &endpoint)?,
            http,
            settlement: Settlement {
                schedule: Schedule::open(broker.clone(), id.clone()).await?,
                dead_letters: DeadLetters::new(broker.clone(), id.clone()),
                attempts,
                client: broker.client,
                endpoint: id,
            },
            endpoint,
        })
    }

    /// Makes the attempt that `pending` asks for, and settles it. Dropped before its end, it gives the message back.
    pub async fn deliver(&self, source: Source, pending: Pending) {
        match self.asked(source, &pending).await {
            Ok(Asked::Attempt { event, attempt }) => {
                let span = tracing::debug_span!("webhook", event.id = %event.id, attempt.number = attempt);
                trace_context::adopt(&span, event.headers());
                self.attempt(pending, &event, attempt).instrument(span).await;
            }
            Ok(Asked::Nothing(why)) => {
                tracing::debug!("nothing to deliver: {why}");
                pending.acknowledge().await;
            }
            Ok(Asked::Lost(due)) => {
                let event = event::kind_of(&due.event_subject);
                warn!(event.id = %due.event_id, "All webhook attempts failed for event: {event}: it is gone from EVENTS");
                self.settlement.lost(pending, &due, &event).await;
            }
            Err(error) => {
                warn!("a webhook delivery is looked at again in {} s: {error:#}", LOOK_AGAIN.as_secs());
                pending.postpone(LOOK_AGAIN).await;
            }
        }
    }

    async fn attempt(&self, pending: Pending, event: &Event, attempt: u32) {
        let (endpoint, attempts) = (&self.endpoint.id, self.endpoint.retry_policy.attempts());
        let kind = &event.kind;
        info!(event.id = %event.id, endpoint.id = %endpoint, "Sending webhook {kind} (attempt {attempt}/{attempts})");

        let (at, begun) = (OffsetDateTime::now_utc(), Instant::now());
        let answer = self.http.exchange(self.template.request(event), self.endpoint.timeout).await;
        let outcome = Outcome::of(answer);
        let duration = begun.elapsed();

        let record = |result| self.record(event, attempt, result, at, duration);
        let duration_ms = duration.as_millis() as u64;
        match outcome {
            Outcome::Delivered { status } => {
                info!(event.id = %event.id, endpoint.id = %endpoint, "Webhook sent successfully: {kind} ({status} after {duration_ms} ms)");
                self.settlement.delivered(pending, event, record(AttemptResult::Delivered { status }), status).await;
            }
            Outcome::Failed(failure) => {
                warn!(event.id = %event.id, endpoint.id = %endpoint, duration_ms, "Webhook attempt {attempt} failed: {failure}");
                let record = record(failure.result.clone());
                match self.endpoint.retry_policy.after(attempt) {
                    Decision::Retry { attempt: next, delay } => {
                        info!(event.id = %event.id, endpoint.id = %endpoint, "Retrying webhook in {}ms", delay.as_millis());
                        let due = retry_policy::due_at(OffsetDateTime::now_utc(), delay);
                        self.settlement.retry(pending, event, record, next, due).await;
                    }
                    Decision::GiveUp => {
                        warn!(event.id = %event.id, endpoint.id = %endpoint, "All webhook attempts failed for event: {kind}");
                        self.settlement.dead(pending, event, record, &failure).await;
                    }
                }
            }
        }
    }

    async fn asked(&self, source: Source, pending: &Pending) -> anyhow::Result<Asked> {
        let schedule = &self.settlement.schedule;
        let (event, attempt) = match source {
            Source::Events => {
                let message = pending.message();
                if pending.is_redelivered() && schedule.holds_retry_of(pending.sequence()).await? {
                    return Ok(Asked::Nothing("its first attempt was made and its retry is kept"));
                }
                let (headers, payload) = (message.headers.clone(), message.payload.clone());
                (Event::new(&message.subject, pending.sequence(), headers, payload), 1)
            }
            Source::Retries => {
                // Only a foreign publisher can have put such a message there; it would come back for ever.
                let due = match Schedule::read(pending) {
                    Ok(due) => due,
                    Err(error) => {
                        warn!("a message in RETRIES is no retry and is dropped: {error:#}");
                        return Ok(Asked::Nothing("it is no retry"));
                    }
                };
                if pending.is_redelivered() && schedule.holds_successor_of(&due, pending.sequence()).await? {
                    return Ok(Asked::Nothing("this attempt was made and the next one is kept"));
                }
                match schedule.event(&due).await? {
                    Some(event) => (event, due.attempt),
                    None => return Ok(Asked::Lost(due)),
                }
            }
        };
        if event.is_not_for(&self.endpoint.id) {
            return Ok(Asked::Nothing("the event is about this endpoint"));
        }
        Ok(Asked::Attempt { event, attempt })
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
