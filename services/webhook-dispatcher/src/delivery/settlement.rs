//! The end of an attempt, made to last. The order of the steps is the promise.
//!
//! | the attempt | first | then | last |
//! |---|---|---|---|
//! | delivered | handed to the record | acknowledged | reported |
//! | to be tried again | the retry stored in RETRIES | recorded | acknowledged |
//! | given up | dead letter stored, `error.occurred` stored | recorded | acknowledged, reported |
//!
//! What comes later in a row is known to the broker only if what comes earlier is. A crash between two steps brings the
//! message back and repeats the row: RETRIES holds one schedule for an event, and both stored messages have an id that
//! is the same at the repeat, so nothing multiplies. If a step cannot be done, the message is postponed.

use super::{
    Event, Failure, Pending,
    attempt_log::AttemptLog,
    dead_letters::{DeadLetters, GivenUp},
    schedule::{Due, Schedule},
};
use async_nats::Client;
use kurir_contract::{
    delivery::{Attempt, Ended},
    endpoint::EndpointId,
    event::EventType,
};
use std::time::Duration;
use time::OffsetDateTime;

/// After the broker could not take the end of an attempt for a long time, the attempt is made again; this much later,
/// so that the receiver does not pay for the broker.
const POSTPONED_BY: Duration = Duration::from_secs(15);

pub struct Settlement {
    pub endpoint: EndpointId,
    pub schedule: Schedule,
    pub dead_letters: DeadLetters,
    pub attempts: AttemptLog,
    pub client: Client,
}

/// How a delivery ended, for who waits for it.
struct End<'a> {
    attempt: u32,
    status: Option<u16>,
    error: Option<&'a str>,
}

impl Settlement {
    pub async fn delivered(&self, pending: Pending, event: &Event, attempt: Attempt, status: u16) {
        let number = attempt.attempt;
        self.attempts.record(attempt);
        pending.acknowledge().await;
        self.report(event, &End { attempt: number, status: Some(status), error: None }).await;
    }

    /// `next` at `due`.
    pub async fn retry(&self, pending: Pending, event: &Event, attempt: Attempt, next: u32, due: OffsetDateTime) {
        if let Err(error) = self.schedule.keep(event, next, due, pending.settle_by()).await {
            return self.postpone(pending, &error).await;
        }
        // A crash from here on brings the message back; it is then seen that its retry is kept already.
        self.attempts.recorded(attempt).await;
        pending.acknowledge().await;
    }

    pub async fn dead(&self, pending: Pending, event: &Event, attempt: Attempt, failure: &Failure) {
        let number = attempt.attempt;
        let given_up = GivenUp::of(event, number, failure);
        if let Err(error) = self.dead_letters.bury(&given_up, pending.settle_by()).await {
            return self.postpone(pending, &error).await;
        }
        self.attempts.recorded(attempt).await;
        pending.acknowledge().await;
        self.report(event, &End { attempt: number, status: failure.status, error: Some(&failure.reason) }).await;
    }

    /// A retry whose event is gone from EVENTS: expired, purged or deleted. Without its payload there is no attempt.
    pub async fn lost(&self, pending: Pending, due: &Due, event: &EventType) {
        let attempts = due.attempt.saturating_sub(1);
        let reason = "its event is no longer in EVENTS, so it could not be tried again";
        let given_up = GivenUp {
            event_id: &due.event_id,
            event,
            event_subject: &due.event_subject,
            event_sequence: due.event_sequence,
            payload: &[],
            attempts,
            reason,
            last: None,
            last_status: None,
        };
        if let Err(error) = self.dead_letters.bury(&given_up, pending.settle_by()).await {
            return self.postpone(pending, &error).await;
        }
        pending.acknowledge().await;
    }

    async fn postpone(&self, pending: Pending, error: &anyhow::Error) {
        tracing::warn!(
            endpoint.id = %self.endpoint,
            "the end of a webhook attempt could not be stored, it is made again in {} s: {error:#}",
            POSTPONED_BY.as_secs()
        );
        pending.postpone(POSTPONED_BY).await;
    }

    async fn report(&self, event: &Event, end: &End<'_>) {
        let Some(inbox) = event.report_to.clone() else { return };
        let ended = Ended {
            event_id: event.id.clone(),
            endpoint: self.endpoint.clone(),
            attempt: end.attempt,
            status: end.status,
            delivered: end.error.is_none(),
            error: end.error.map(ToOwned::to_owned),
        };
        // Who waits has a deadline of his own and knows then that no word came.
        if let Ok(ended) = serde_json::to_vec(&ended)
            && let Err(error) = self.client.publish(inbox, ended.into()).await
        {
            tracing::debug!("failed to report the end of a delivery: {error}");
        }
    }
}
