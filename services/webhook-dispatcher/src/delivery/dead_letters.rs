//! Events that were given up: each rests in DEAD_LETTERS with its payload, and `error.occurred` tells of it.

use crate::{
    delivery::outcome::AttemptFailure,
    event::{StoredEvent, session_of},
    jetstream::publish::{self, OutgoingMessage},
};
use anyhow::Context as _;
use async_nats::HeaderMap;
use bytes::Bytes;
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    clock,
    delivery::{AttemptResult, DeadLetter},
    endpoint::EndpointId,
    event::{ErrorOccurred, EventEnvelope, EventId, EventType},
    header, stream, subject,
};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;

/// What is given up.
#[derive(Clone, Copy, Debug)]
pub struct ExhaustedDelivery<'a> {
    pub event_id: &'a EventId,
    pub event: &'a EventType,
    pub event_subject: &'a str,
    pub event_sequence: u64,
    pub payload: &'a [u8],
    /// How many attempts were made.
    pub attempts: u32,
    /// In words.
    pub reason: &'a str,
    pub last: Option<&'a AttemptResult>,
    /// Of the last answer, if there was one.
    pub last_status: Option<u16>,
    /// The replay that it was given up in.
    pub replay: Option<&'a str>,
}

impl<'a> ExhaustedDelivery<'a> {
    #[must_use]
    pub fn of(event: &'a StoredEvent, attempts: u32, failure: &'a AttemptFailure, replay: Option<&'a str>) -> Self {
        Self {
            event_id: &event.id,
            event: &event.kind,
            event_subject: &event.subject,
            event_sequence: event.sequence,
            payload: &event.payload,
            attempts,
            reason: &failure.reason,
            last: Some(&failure.result),
            last_status: failure.status,
            replay,
        }
    }
}

/// DEAD_LETTERS.
pub struct DeadLetterStore {
    broker: Broker,
}

impl DeadLetterStore {
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self { broker }
    }

    /// Both are stored when this returns, and a repeat after a crash stores neither again.
    pub async fn bury(
        &self,
        endpoint: &EndpointId,
        given_up: &ExhaustedDelivery<'_>,
        by: Instant,
    ) -> anyhow::Result<()> {
        publish::store(&self.broker, &self.letter(endpoint, given_up)?, by).await?;
        if given_up.replay.is_some() {
            // The letter that was replayed has this one in its place.
            self.purge(endpoint, given_up.event_id, 1).await;
        }
        // An event about deliveries that cannot be delivered tells of nothing more: two dead endpoints would feed
        // each other.
        if given_up.event.is_about_delivery() {
            return Ok(());
        }
        publish::store(&self.broker, &self.notice(endpoint, given_up)?, by).await
    }

    /// A replay delivered it after all.
    pub async fn exhume(&self, endpoint: &EndpointId, event: &EventId) {
        self.purge(endpoint, event, 0).await;
    }

    /// A letter that cannot be removed stays, and can be replayed again: its receiver knows the id.
    async fn purge(&self, endpoint: &EndpointId, event: &EventId, keep: u64) {
        let purged = async {
            let letters = self.broker.jetstream.get_stream_no_info(stream::DEAD_LETTERS).await?;
            letters.purge().filter(subject::dead_letter(endpoint, event)).keep(keep).await?;
            anyhow::Ok(())
        };
        if let Err(error) = purged.await {
            tracing::warn!(endpoint.id = %endpoint, event.id = %event, "a dead letter that was replayed stays: {error:#}");
        }
    }

    fn letter(&self, endpoint: &EndpointId, given_up: &ExhaustedDelivery<'_>) -> anyhow::Result<OutgoingMessage> {
        let mut letter = DeadLetter {
            event_id: given_up.event_id.clone(),
            event: given_up.event.clone(),
            endpoint: endpoint.clone(),
            sequence: given_up.event_sequence,
            attempts: given_up.attempts,
            reason: given_up.reason.to_owned(),
            last: given_up.last.cloned(),
            at: clock::now_iso(),
            payload: String::from_utf8_lossy(given_up.payload).into_owned(),
        };
        let mut payload = json(&letter)?;
        let mut headers = HeaderMap::new();
        let run = format!("{endpoint} {} {}", given_up.event_sequence, given_up.replay.unwrap_or_default());
        headers.insert(header::EVENT_ID, given_up.event_id.derived(&run).as_str());
        // A replay names it again: the session is in it, and the event may be gone by then.
        headers.insert(header::EVENT_SUBJECT, given_up.event_subject);
        if payload.len() + HEADERS_RESERVE > self.broker.client.max_payload() {
            // Quoted once more, a payload just below the broker's limit is above it.
            letter.payload = String::new();
            letter.reason = format!(
                "{} (its {} bytes do not fit into a dead letter; they are message {} of EVENTS)",
                letter.reason,
                given_up.payload.len(),
                given_up.event_sequence
            );
            payload = json(&letter)?;
        }
        Ok(OutgoingMessage { subject: subject::dead_letter(endpoint, given_up.event_id), headers, payload })
    }

    fn notice(&self, endpoint: &EndpointId, given_up: &ExhaustedDelivery<'_>) -> anyhow::Result<OutgoingMessage> {
        let now = OffsetDateTime::now_utc();
        let data = ErrorOccurred {
            error_type: ErrorOccurred::DELIVERY_FAILED.to_owned(),
            error_message: format!("All webhook attempts failed for event: {}: {}", given_up.event, given_up.reason),
            context: json!({
                "endpoint": endpoint,
                "eventId": given_up.event_id,
                "event": given_up.event,
                "attempts": given_up.attempts,
                "lastStatus": given_up.last_status,
            }),
            timestamp: clock::iso(now),
        };
        let mut headers = HeaderMap::new();
        let result = format!(
            "{} {endpoint} {} {}",
            ErrorOccurred::DELIVERY_FAILED,
            given_up.event_sequence,
            given_up.replay.unwrap_or_default()
        );
        headers.insert(header::EVENT_ID, given_up.event_id.derived(&result).as_str());
        headers.insert(header::NOT_FOR, endpoint.as_str());
        trace_context::inject(&mut headers);
        Ok(OutgoingMessage {
            subject: subject::event(&session_of(given_up.event_subject), &EventType::ERROR_OCCURRED),
            headers,
            payload: json(&EventEnvelope::new(EventType::ERROR_OCCURRED, now, data))?,
        })
    }
}

/// NATS counts headers as payload; ours are an id and a trace.
const HEADERS_RESERVE: usize = 1024;

fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<Bytes> {
    Ok(serde_json::to_vec(value).context("failed to write JSON")?.into())
}
