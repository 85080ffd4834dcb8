//! The end of an attempt, made to last. The order of the steps is the promise.
//!
//! | the attempt | first | then | last |
//! |---|---|---|---|
//! | delivered | recorded in DELIVERIES | acknowledged | |
//! | to be tried again | its consumer made, the retry stored in RETRIES | recorded | acknowledged |
//! | given up | dead letter stored, `error.occurred` stored | recorded | acknowledged |
//!
//! The record acknowledges (`attempt_log`): it collects attempts for some milliseconds, and nobody waits for that.
//!
//! What comes later in a row is known to the broker only if what comes earlier is. A crash between two steps brings the
//! message back and repeats the row: RETRIES holds one schedule for an event, and both stored messages have an id that
//! is the same at the repeat, so nothing multiplies. If a step cannot be done, the message is postponed.

use crate::{
    delivery::{context::DeliveryContext, dead_letters::ExhaustedDelivery, outcome::AttemptFailure},
    event::StoredEvent,
    jetstream::{
        consumer::RetriesConsumer,
        pending_message::PendingMessage,
        retry_queue::{DueRetry, NextRetry},
    },
};
use kurir_contract::{
    delivery::{AttemptRecord, DeliveryReport},
    endpoint::EndpointId,
    event::EventType,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// After the broker could not take the end of an attempt for a long time, the attempt is made again; this much later,
/// so that the receiver does not pay for the broker.
const POSTPONED_BY: Duration = Duration::from_secs(15);

pub struct AttemptSettlement {
    pub endpoint: EndpointId,
    pub tools: Arc<DeliveryContext>,
    pub retries: RetriesConsumer,
}

/// How a delivery ended, for who waits for it.
pub struct DeliveryEnd<'a> {
    pub attempt: u32,
    pub status: Option<u16>,
    pub error: Option<&'a str>,
}

impl AttemptSettlement {
    pub async fn delivered(&self, pending: PendingMessage, event: &StoredEvent, attempt: AttemptRecord, status: u16) {
        let end = DeliveryEnd { attempt: attempt.attempt, status: Some(status), error: None };
        let is_replay = attempt.replay.is_some();
        self.tools.attempts.acknowledge(attempt, pending).await;
        self.report(event, &end).await;
        if is_replay {
            self.tools.dead_letters.exhume(&self.endpoint, &event.id).await;
        }
    }

    /// Whether the next attempt is kept.
    pub async fn retry(
        &self,
        pending: PendingMessage,
        event: &StoredEvent,
        attempt: AttemptRecord,
        next: &NextRetry,
    ) -> bool {
        let by = pending.settle_by();
        let kept = async {
            self.retries.ready(&self.tools.broker, by).await?;
            self.tools.schedule.keep(&self.endpoint, event, next, by).await
        };
        if let Err(error) = kept.await {
            self.postpone(pending, &error).await;
            return false;
        }
        // A crash from here on brings the message back; it is then seen that its retry is kept already.
        self.tools.attempts.acknowledge(attempt, pending).await;
        true
    }

    pub async fn dead(
        &self,
        pending: PendingMessage,
        event: &StoredEvent,
        attempt: AttemptRecord,
        failure: &AttemptFailure,
    ) {
        if let Err(error) = self.bury(event, &attempt, failure, pending.settle_by()).await {
            return self.postpone(pending, &error).await;
        }
        let end = DeliveryEnd { attempt: attempt.attempt, status: failure.status, error: Some(&failure.reason) };
        self.tools.attempts.acknowledge(attempt, pending).await;
        self.report(event, &end).await;
    }

    /// Stores its dead letter, and what tells of it.
    pub async fn bury(
        &self,
        event: &StoredEvent,
        last: &AttemptRecord,
        failure: &AttemptFailure,
        by: Instant,
    ) -> anyhow::Result<()> {
        let given_up = ExhaustedDelivery::of(event, last.attempt, failure, last.replay.as_deref());
        self.tools.dead_letters.bury(&self.endpoint, &given_up, by).await
    }

    /// Neither sent nor to be sent.
    pub async fn filtered(&self, pending: PendingMessage, event: &StoredEvent, record: AttemptRecord, why: &str) {
        let end = DeliveryEnd { attempt: 0, status: None, error: Some(why) };
        self.tools.attempts.acknowledge(record, pending).await;
        self.report(event, &end).await;
    }

    /// The endpoint is to be disabled: the message waits with all others.
    pub async fn untouched(&self, pending: PendingMessage, attempt: AttemptRecord) {
        self.tools.attempts.give_back(attempt, pending).await;
    }

    /// A retry whose event is gone from EVENTS: expired, purged or deleted. Without its payload there is no attempt.
    pub async fn lost(&self, pending: PendingMessage, due: &DueRetry, event: &EventType) {
        if let Err(error) = self.bury_lost(due, event, pending.settle_by()).await {
            return self.postpone(pending, &error).await;
        }
        pending.acknowledge().await;
    }

    /// Its dead letter has no payload.
    pub async fn bury_lost(&self, due: &DueRetry, event: &EventType, by: Instant) -> anyhow::Result<()> {
        let given_up = ExhaustedDelivery {
            event_id: &due.event_id,
            event,
            event_subject: &due.event_subject,
            event_sequence: due.event_sequence,
            payload: &[],
            attempts: due.attempt.saturating_sub(1),
            reason: "its event is no longer in EVENTS, so it could not be tried again",
            last: None,
            last_status: None,
            replay: due.place.replay.as_deref(),
        };
        self.tools.dead_letters.bury(&self.endpoint, &given_up, by).await
    }

    async fn postpone(&self, pending: PendingMessage, error: &anyhow::Error) {
        tracing::warn!(
            endpoint.id = %self.endpoint,
            "the end of a webhook attempt could not be stored, it is made again in {} s: {error:#}",
            POSTPONED_BY.as_secs()
        );
        pending.postpone(POSTPONED_BY).await;
    }

    /// Tells whoever waits for it.
    pub async fn report(&self, event: &StoredEvent, end: &DeliveryEnd<'_>) {
        let Some(inbox) = event.report_to.clone() else { return };
        let ended = DeliveryReport {
            event_id: event.id.clone(),
            endpoint: self.endpoint.clone(),
            attempt: end.attempt,
            status: end.status,
            delivered: end.error.is_none(),
            error: end.error.map(ToOwned::to_owned),
        };
        // Who waits has a deadline of his own and knows then that no word came.
        if let Ok(ended) = serde_json::to_vec(&ended)
            && let Err(error) = self.tools.broker.client.publish(inbox, ended.into()).await
        {
            tracing::debug!("failed to report the end of a delivery: {error}");
        }
    }
}
