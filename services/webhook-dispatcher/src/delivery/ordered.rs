//! The attempts of an endpoint that keeps its chats in order. Which comes when is `endpoints::ordered`'s to say, and what
//! waits is its to keep; the exchange, the policy, the record and the dead letters are the same as for all.

use crate::{
    delivery::{
        attempt::{DeliveryAttempt, ExchangeEnd, NextStep},
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

/// For how long a dead letter is tried to be stored.
const BURY_WITHIN: Duration = Duration::from_secs(30);

/// How an attempt ended.
pub struct OrderedResult {
    pub verdict: EndpointVerdict,
    /// To be written.
    pub record: Option<AttemptRecord>,
    pub end: OrderedEnd,
}

/// What that means for its chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderedEnd {
    /// Delivered, not to be delivered, or buried: its turn is over.
    Settled,
    Again {
        attempt: u32,
        at: OffsetDateTime,
    },
    /// As if it had not been tried.
    Untouched,
}

impl EndpointDeliverer {
    /// # Errors
    /// If it is given up and its dead letter cannot be stored.
    pub async fn try_in_order(&self, event: &StoredEvent, attempt: u32, probe: bool) -> anyhow::Result<OrderedResult> {
        let asking = DeliveryAttempt { event: event.clone(), attempt, place: None, probe };
        let filled = if self.endpoint.base64 { self.tools.files.fill(event).await } else { None };
        let body = match self.wanted(filled.as_ref().map_or(event, |filled| &filled.event)) {
            Ok(body) => body,
            Err(by) => {
                let record = Some(self.filtered(&asking, by));
                self.settlement.report(event, &DeliveryEnd { attempt: 0, status: None, error: Some(by) }).await;
                return Ok(OrderedResult { verdict: EndpointVerdict::Untried, record, end: OrderedEnd::Settled });
            }
        };
        let exchange = self.exchange(&asking, body);
        let (record, ended) = if self.tools.traced { exchange.instrument(asking.span()).await } else { exchange.await };
        let failure = match ended {
            ExchangeEnd::Delivered { status } => {
                self.settlement.report(event, &DeliveryEnd { attempt, status: Some(status), error: None }).await;
                return Ok(OrderedResult {
                    verdict: EndpointVerdict::Succeeded,
                    record: Some(record),
                    end: OrderedEnd::Settled,
                });
            }
            ExchangeEnd::Failed(failure) => *failure,
        };
        let (mut verdict, mut end) = (EndpointVerdict::Failed { reason: failure.reason.clone() }, OrderedEnd::Settled);
        match self.follows(&asking, &failure) {
            NextStep::Attempt { attempt, at } => end = OrderedEnd::Again { attempt, at },
            NextStep::Disable => {
                end = OrderedEnd::Untouched;
                verdict = EndpointVerdict::Gone { reason: failure.reason };
            }
            // Before the next of its chat is tried: a repeat after a crash would come behind that.
            NextStep::Nothing => {
                self.settlement.bury(event, &record, &failure, Instant::now() + BURY_WITHIN).await?;
                let end = DeliveryEnd { attempt, status: failure.status, error: Some(&failure.reason) };
                self.settlement.report(event, &end).await;
            }
        }
        Ok(OrderedResult { verdict, record: Some(record), end })
    }

    /// The event is gone from EVENTS: it is given up.
    ///
    /// # Errors
    /// If its dead letter cannot be stored.
    pub async fn give_up_lost(&self, sequence: u64, entry: &ParkedEntry) -> anyhow::Result<()> {
        let due = DueRetry {
            event_id: entry.event_id.clone(),
            event_subject: entry.event_subject.clone(),
            event_sequence: sequence,
            attempt: entry.attempt,
            place: RetryScope::live(RetryScope::NO_CHAT.to_owned()),
        };
        self.settlement.bury_lost(&due, &kind_of(&entry.event_subject), Instant::now() + BURY_WITHIN).await
    }

    /// A message is done with, and acknowledged when its last attempt is on record.
    pub async fn acknowledge(&self, pending: PendingMessage, record: Option<AttemptRecord>) {
        match record {
            Some(record) => self.tools.attempts.acknowledge(record, pending).await,
            None => pending.acknowledge().await,
        }
    }

    /// Ends when the attempt is on record.
    pub async fn write(&self, record: Option<AttemptRecord>) {
        if let Some(record) = record {
            // Dropped only by a recorder that is at its end.
            let _ = self.tools.attempts.write(record).await.await;
        }
    }
}
