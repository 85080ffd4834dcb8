//! The attempts of an endpoint that keeps its chats in order. `endpoints::ordered` decides which event is next and
//! stores what waits. The exchange, the retry policy, the record and the dead letters are the same as for all
//! endpoints.

use crate::{
    delivery::{
        attempt::{DeliveryAttempt, ExchangeEnd, FailureDecision, NextStep},
        deliverer::EndpointDeliverer,
        result::EndpointVerdict,
        settlement::DeliveryEnd,
    },
    event::{StoredEvent, kind_of},
    jetstream::{
        parked_events::ParkedEntry,
        pending_message::PendingMessage,
        retry_queue::{DueRetry, RetryScope},
    },
};
use kurir_contract::delivery::AttemptRecord;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::Instrument as _;

/// Between two tries to store a dead letter.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// The time to store a dead letter.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(30);

/// How an attempt ended.
pub struct OrderedResult {
    pub verdict: EndpointVerdict,
    /// The record, which must be stored.
    pub record: Option<AttemptRecord>,
    pub end: OrderedEnd,
}

/// What the end means for the event's chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderedEnd {
    /// Delivered, filtered, or stored as a dead letter: the next event of the chat may go.
    Settled,
    Again {
        attempt: u32,
        at: OffsetDateTime,
    },
    /// The event waits as if it had not been tried.
    Untouched {
        until: OffsetDateTime,
    },
}

impl EndpointDeliverer {
    /// Makes an attempt. The caller stores what follows.
    ///
    /// # Errors
    /// None at present.
    pub async fn attempt_in_order(
        &self,
        event: &StoredEvent,
        attempt: u32,
        probe: bool,
    ) -> anyhow::Result<OrderedResult> {
        let delivery = DeliveryAttempt { event: event.clone(), attempt, scope: None, probe };
        let filled = if self.endpoint.base64 { self.context.media.embed(event).await } else { None };
        let body = match self.render_body(filled.as_ref().map_or(event, |filled| &filled.event)) {
            Ok(body) => body,
            Err(by) => {
                let record = Some(self.record_filtered(&delivery, by));
                self.settlement
                    .publish_report(
                        event,
                        &DeliveryEnd { attempt: 0, status: None, error: Some(by), body: None, retried: false },
                    )
                    .await;
                return Ok(OrderedResult { verdict: EndpointVerdict::Untried, record, end: OrderedEnd::Settled });
            }
        };
        let exchange = self.send(&delivery, body);
        let (record, ended) = match delivery.span(&self.endpoint.id, self.context.traced) {
            Some(span) => exchange.instrument(span).await,
            None => exchange.await,
        };
        let failure = match ended {
            ExchangeEnd::Delivered { status } => {
                self.settlement
                    .publish_report(
                        event,
                        &DeliveryEnd { attempt, status: Some(status), error: None, body: None, retried: false },
                    )
                    .await;
                return Ok(OrderedResult {
                    verdict: EndpointVerdict::Succeeded,
                    record: Some(record),
                    end: OrderedEnd::Settled,
                });
            }
            ExchangeEnd::Failed(failure) => *failure,
        };
        let decision = self.decide_next_step(&delivery, &failure);
        let waits_for_receiver = decision.waits_for_receiver();
        let FailureDecision { next_step, verdict } = decision;
        let (status, error) = (failure.status, Some(failure.reason.as_str()));
        let report = DeliveryEnd { attempt, status, error, body: record.result.refused_body(), retried: false };
        let end = match next_step {
            // The events of an endpoint that asks for a pause stay in memory, as those behind them do.
            NextStep::Attempt { at, .. } if matches!(verdict, EndpointVerdict::Busy { .. }) => {
                OrderedEnd::Untouched { until: at }
            }
            NextStep::Attempt { attempt, at } => {
                let report = DeliveryEnd { retried: !waits_for_receiver, ..report };
                self.settlement.publish_report(event, &report).await;
                OrderedEnd::Again { attempt, at }
            }
            NextStep::Disable => OrderedEnd::Untouched { until: self.context.broker.clock.now() },
            // Stored before the next event of the chat is tried: after a crash a repeat would come behind it.
            NextStep::Nothing => {
                // The attempt is not made again if the dead letters are full: only its storing is repeated.
                while let Err(error) = self
                    .settlement
                    .store_dead_letter(event, &record, &failure, Instant::now() + DEAD_LETTER_TIMEOUT)
                    .await
                {
                    tracing::warn!(
                        endpoint.id = %self.endpoint.id,
                        "failed to store the end of a webhook attempt, which is tried again: {error:#}"
                    );
                    tokio::time::sleep(STORE_PAUSE).await;
                }
                self.settlement.publish_report(event, &report).await;
                OrderedEnd::Settled
            }
        };
        Ok(OrderedResult { verdict, record: Some(record), end })
    }

    /// Gives up an event that is gone from EVENTS.
    ///
    /// # Errors
    /// If its dead letter cannot be stored.
    pub async fn give_up_lost(&self, sequence: u64, entry: &ParkedEntry) -> anyhow::Result<()> {
        let due = DueRetry {
            event_id: entry.event_id.clone(),
            event_subject: entry.event_subject.clone(),
            event_sequence: sequence,
            attempt: entry.attempt,
            scope: RetryScope::live(RetryScope::NO_CHAT.to_owned()),
        };
        self.settlement
            .store_lost_dead_letter(&due, &kind_of(&entry.event_subject), Instant::now() + DEAD_LETTER_TIMEOUT)
            .await
    }

    /// Acknowledges a message, when its last attempt is recorded.
    pub async fn acknowledge(&self, pending: PendingMessage, record: Option<AttemptRecord>) {
        match record {
            Some(record) => self.context.attempts.record_and_acknowledge(record, pending).await,
            None => pending.acknowledge().await,
        }
    }

    /// Records an attempt. Returns when it is stored.
    pub async fn record(&self, record: Option<AttemptRecord>) {
        if let Some(record) = record {
            // An error means that the recorder has ended.
            let _ = self.context.attempts.record(record).await.await;
        }
    }
}
