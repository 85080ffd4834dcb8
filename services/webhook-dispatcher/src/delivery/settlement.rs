//! Stores the end of an attempt. The order of the steps is the guarantee.
//!
//! | the attempt | first | then | last |
//! |---|---|---|---|
//! | delivered | recorded in DELIVERIES | acknowledged | |
//! | to be tried again | its consumer created, the retry stored in RETRIES | recorded | acknowledged |
//! | given up | dead letter stored, `error.occurred` stored | recorded | acknowledged |
//!
//! The attempt log acknowledges: it collects attempts for some milliseconds, and no delivery waits for it.
//!
//! A later step of a row is done only after the earlier ones. A crash between two steps brings the message back and
//! repeats the row: RETRIES holds one schedule for each event, and both stored messages have an id that is the same at
//! the repeat, so nothing multiplies. If a step fails, it alone is repeated, until it succeeds: the receiver does not pay
//! for a stream that is full.

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

/// Between two tries to store the end of an attempt. Each try takes as long as NATS waits for the message.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub struct AttemptSettlement {
    pub endpoint: EndpointId,
    pub context: Arc<DeliveryContext>,
    pub retries_consumer: RetriesConsumer,
}

/// How a delivery or an attempt ended, for the caller that waits for its report.
pub struct DeliveryEnd<'a> {
    pub attempt: u32,
    pub status: Option<u16>,
    pub error: Option<&'a str>,
    /// The beginning of the last answer's body, if the receiver refused.
    pub body: Option<&'a str>,
    /// Whether another attempt follows.
    pub retried: bool,
}

impl AttemptSettlement {
    pub async fn settle_delivered(
        &self,
        pending: PendingMessage,
        event: &StoredEvent,
        attempt: AttemptRecord,
        status: u16,
    ) {
        let end =
            DeliveryEnd { attempt: attempt.attempt, status: Some(status), error: None, body: None, retried: false };
        let is_replay = attempt.replay.is_some();
        self.context.attempts.record_and_acknowledge(attempt, pending).await;
        self.publish_report(event, &end).await;
        if is_replay {
            self.context.dead_letters.remove(&self.endpoint, &event.id).await;
        }
    }

    pub async fn settle_retry(
        &self,
        mut pending: PendingMessage,
        event: &StoredEvent,
        attempt: AttemptRecord,
        next: &NextRetry,
    ) {
        while let Err(error) = self.store_retry(event, next, pending.settle_by()).await {
            self.wait_to_store_again(&mut pending, &error).await;
        }
        // A crash from here on brings the message back. Then the stored retry is found.
        self.context.attempts.record_and_acknowledge(attempt, pending).await;
    }

    pub async fn settle_dead(
        &self,
        mut pending: PendingMessage,
        event: &StoredEvent,
        attempt: AttemptRecord,
        failure: &AttemptFailure,
    ) {
        while let Err(error) = self.store_dead_letter(event, &attempt, failure, pending.settle_by()).await {
            self.wait_to_store_again(&mut pending, &error).await;
        }
        let body = attempt.result.refused_body().map(str::to_owned);
        let (status, error) = (failure.status, Some(failure.reason.as_str()));
        let end = DeliveryEnd { attempt: attempt.attempt, status, error, body: body.as_deref(), retried: false };
        self.context.attempts.record_and_acknowledge(attempt, pending).await;
        self.publish_report(event, &end).await;
    }

    /// Stores the event's dead letter, and the event about it.
    pub async fn store_dead_letter(
        &self,
        event: &StoredEvent,
        last: &AttemptRecord,
        failure: &AttemptFailure,
        by: Instant,
    ) -> anyhow::Result<()> {
        let exhausted = ExhaustedDelivery::new(event, last.attempt, failure, last.replay.as_deref());
        self.context.dead_letters.store(&self.endpoint, &exhausted, by).await
    }

    /// Settles an event that is not to be sent.
    pub async fn settle_filtered(
        &self,
        pending: PendingMessage,
        event: &StoredEvent,
        record: AttemptRecord,
        why: &str,
    ) {
        let end = DeliveryEnd { attempt: 0, status: None, error: Some(why), body: None, retried: false };
        self.context.attempts.record_and_acknowledge(record, pending).await;
        self.publish_report(event, &end).await;
    }

    /// Gives the message back, because the endpoint is to be disabled: the event waits with all others.
    pub async fn give_back(&self, pending: PendingMessage, attempt: AttemptRecord) {
        self.context.attempts.record_and_give_back(attempt, pending).await;
    }

    /// Settles a retry whose event is gone from EVENTS: expired, purged or deleted. Without its payload there is no
    /// attempt.
    pub async fn settle_lost(&self, mut pending: PendingMessage, due: &DueRetry, event: &EventType) {
        while let Err(error) = self.store_lost_dead_letter(due, event, pending.settle_by()).await {
            self.wait_to_store_again(&mut pending, &error).await;
        }
        pending.acknowledge().await;
    }

    /// Stores a dead letter without a payload.
    pub async fn store_lost_dead_letter(&self, due: &DueRetry, event: &EventType, by: Instant) -> anyhow::Result<()> {
        let exhausted = ExhaustedDelivery {
            event_id: &due.event_id,
            event,
            event_subject: &due.event_subject,
            event_sequence: due.event_sequence,
            payload: &[],
            attempts: due.attempt.saturating_sub(1),
            reason: "its event is no longer in EVENTS, so it could not be tried again",
            last: None,
            last_status: None,
            replay: due.scope.replay.as_deref(),
        };
        self.context.dead_letters.store(&self.endpoint, &exhausted, by).await
    }

    async fn store_retry(&self, event: &StoredEvent, next: &NextRetry, by: Instant) -> anyhow::Result<()> {
        self.retries_consumer.ensure(&self.context.broker, by).await?;
        self.context.retries.schedule(&self.endpoint, event, next, by).await
    }

    /// Waits after a step that NATS did not store, and keeps the message meanwhile: the attempt was made, and is not made
    /// again here or by another dispatcher.
    async fn wait_to_store_again(&self, pending: &mut PendingMessage, error: &anyhow::Error) {
        tracing::warn!(
            endpoint.id = %self.endpoint,
            "failed to store the end of a webhook attempt, which is tried again: {error:#}"
        );
        pending.extend().await;
        tokio::time::sleep(STORE_PAUSE).await;
    }

    /// Reports to the caller that waits for the end.
    pub async fn publish_report(&self, event: &StoredEvent, end: &DeliveryEnd<'_>) {
        let Some(inbox) = event.report_to.clone().filter(|_| event.reports_attempts || !end.retried) else { return };
        let report = DeliveryReport {
            event_id: event.id.clone(),
            endpoint: self.endpoint.clone(),
            attempt: end.attempt,
            status: end.status,
            delivered: end.error.is_none(),
            error: end.error.map(ToOwned::to_owned),
            body: end.body.map(ToOwned::to_owned),
            retried: end.retried,
        };
        // The caller has a deadline, and knows then that no report came.
        if let Ok(report) = serde_json::to_vec(&report)
            && let Err(error) = self.context.broker.client.publish(inbox, report.into()).await
        {
            tracing::debug!("failed to report the end of a delivery: {error}");
        }
    }
}
