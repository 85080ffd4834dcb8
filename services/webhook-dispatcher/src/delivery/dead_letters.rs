//! Stores events that are given up: each in DEAD_LETTERS with its payload, and an `error.occurred` about it.

use crate::{
    delivery::outcome::AttemptFailure,
    event::{StoredEvent, session_of},
};
use anyhow::Context as _;
use async_nats::HeaderMap;
use kurir_chassis::{
    broker::Broker, bucket::to_json, publish::OutgoingMessage, shutdown::CancellationToken, trace_context,
};
use kurir_contract::{
    clock,
    delivery::{AttemptResult, DeadLetter},
    endpoint::EndpointId,
    event::{ErrorOccurred, EventEnvelope, EventId, EventType},
    header, stream, subject,
};
use serde_json::json;
use std::time::Duration;
use tokio::{sync::mpsc, time::Instant};

/// Events about dead letters that wait for room in EVENTS.
const LATE_NOTICES: usize = 1_024;
/// After this time a delivery goes on although the event about its dead letter is not stored: EVENTS may be full, and the
/// other events of the endpoint must not wait for that.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one round of tries to store such an event takes.
const NOTICE_ROUND: Duration = Duration::from_secs(60);

/// An event that is given up.
#[derive(Clone, Copy, Debug)]
pub struct ExhaustedDelivery<'a> {
    pub event_id: &'a EventId,
    pub event: &'a EventType,
    pub event_subject: &'a str,
    pub event_sequence: u64,
    pub payload: &'a [u8],
    /// How many attempts were made.
    pub attempts: u32,
    /// In words, for a person.
    pub reason: &'a str,
    pub last: Option<&'a AttemptResult>,
    /// The status of the last answer, if there was one.
    pub last_status: Option<u16>,
    /// The replay in which the event was given up.
    pub replay: Option<&'a str>,
}

impl<'a> ExhaustedDelivery<'a> {
    #[must_use]
    pub fn new(event: &'a StoredEvent, attempts: u32, failure: &'a AttemptFailure, replay: Option<&'a str>) -> Self {
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

/// Stores and removes dead letters.
pub struct DeadLetterStore {
    broker: Broker,
    /// Events about dead letters that could not be stored at once.
    late_notices: mpsc::Sender<OutgoingMessage>,
}

/// The task that stores the events about dead letters for which EVENTS had no room.
pub struct NoticePublisher {
    broker: Broker,
    late_notices: mpsc::Receiver<OutgoingMessage>,
}

/// Creates the store, and the task that must run with it.
#[must_use]
pub fn open_dead_letters(broker: Broker) -> (DeadLetterStore, NoticePublisher) {
    let (sender, late_notices) = mpsc::channel(LATE_NOTICES);
    (DeadLetterStore { broker: broker.clone(), late_notices: sender }, NoticePublisher { broker, late_notices })
}

impl NoticePublisher {
    /// Stores each event, however long it takes, until the shutdown.
    ///
    /// # Errors
    /// None: a notice that is too large for NATS is logged and dropped.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let publishing = async {
            while let Some(notice) = self.late_notices.recv().await {
                while let Err(error) = self.broker.publish_until_stored(&notice, Instant::now() + NOTICE_ROUND).await {
                    if !error.is_retryable() {
                        tracing::warn!("failed to report a dead letter: {error}");
                        break;
                    }
                }
            }
        };
        tokio::select! {
            () = publishing => shutdown.cancelled().await,
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }
}

impl DeadLetterStore {
    /// Stores the dead letter and the event about it. After a crash, a repeat stores neither again.
    pub async fn store(
        &self,
        endpoint: &EndpointId,
        exhausted: &ExhaustedDelivery<'_>,
        by: Instant,
    ) -> anyhow::Result<()> {
        let letter = self.build_letter(endpoint, exhausted)?;
        // The duplicate window of the stream is shorter than a repeat may take.
        if !self.is_stored(&letter).await? {
            self.publish(&letter, by).await?;
        }
        if exhausted.replay.is_some() {
            // This letter replaces the one that was replayed.
            self.purge(endpoint, exhausted.event_id, 1).await;
        }
        // A failed delivery of an event about deliveries causes no further event: two dead endpoints would feed each
        // other.
        if exhausted.event.is_about_delivery() {
            return Ok(());
        }
        let notice = self.build_notice(endpoint, exhausted)?;
        if let Err(error) = self.publish(&notice, by.min(Instant::now() + NOTICE_TIMEOUT)).await {
            tracing::warn!(endpoint.id = %endpoint, "the report of a dead letter waits: {error:#}");
            // If there are too many, the log and the dead letter itself must do.
            let _ = self.late_notices.try_send(notice);
        }
        Ok(())
    }

    /// Whether the last letter of this event is this one.
    async fn is_stored(&self, letter: &OutgoingMessage) -> anyhow::Result<bool> {
        let letters = self.broker.jetstream.get_stream_no_info(stream::DEAD_LETTERS).await?;
        match letters.direct_get_last_for_subject(letter.subject.as_str()).await {
            Ok(stored) => Ok(stored.headers.get(header::EVENT_ID) == letter.headers.get(header::EVENT_ID)),
            // A stream that is missing is made when the letter is stored.
            Err(_) => Ok(false),
        }
    }

    /// Removes the dead letter of an event that a replay has delivered.
    pub async fn remove(&self, endpoint: &EndpointId, event: &EventId) {
        self.purge(endpoint, event, 0).await;
    }

    async fn publish(&self, message: &OutgoingMessage, by: Instant) -> anyhow::Result<()> {
        let stored = self.broker.publish_until_stored(message, by).await;
        stored.with_context(|| format!("failed to store {}", message.subject))?;
        Ok(())
    }

    /// If the removal fails, the letter stays and can be replayed again: its receiver knows the id.
    async fn purge(&self, endpoint: &EndpointId, event: &EventId, keep: u64) {
        let purged = async {
            let letters = self.broker.jetstream.get_stream_no_info(stream::DEAD_LETTERS).await?;
            letters.purge().filter(subject::dead_letter(endpoint, event)).keep(keep).await?;
            anyhow::Ok(())
        };
        if let Err(error) = purged.await {
            tracing::warn!(endpoint.id = %endpoint, event.id = %event, "failed to remove a dead letter that was replayed: {error:#}");
        }
    }

    fn build_letter(
        &self,
        endpoint: &EndpointId,
        exhausted: &ExhaustedDelivery<'_>,
    ) -> anyhow::Result<OutgoingMessage> {
        let mut letter = DeadLetter {
            event_id: exhausted.event_id.clone(),
            event: exhausted.event.clone(),
            endpoint: endpoint.clone(),
            sequence: exhausted.event_sequence,
            attempts: exhausted.attempts,
            reason: exhausted.reason.to_owned(),
            last: exhausted.last.cloned(),
            at: clock::now_iso(),
            payload: String::from_utf8_lossy(exhausted.payload).into_owned(),
        };
        let mut payload = to_json(&letter)?;
        let mut headers = HeaderMap::new();
        let run = format!("{endpoint} {} {}", exhausted.event_sequence, exhausted.replay.unwrap_or_default());
        headers.insert(header::EVENT_ID, exhausted.event_id.derived(&run).as_str());
        // A replay needs it: it names the session, and the event may be gone by then.
        headers.insert(header::EVENT_SUBJECT, exhausted.event_subject);
        if payload.len() + HEADERS_RESERVE > self.broker.client.max_payload() {
            // Quoted again, a payload just below NATS' limit is above it.
            letter.payload = String::new();
            letter.reason = format!(
                "{} (its {} bytes do not fit into a dead letter; they are message {} of EVENTS)",
                letter.reason,
                exhausted.payload.len(),
                exhausted.event_sequence
            );
            payload = to_json(&letter)?;
        }
        Ok(OutgoingMessage { subject: subject::dead_letter(endpoint, exhausted.event_id), headers, payload })
    }

    fn build_notice(
        &self,
        endpoint: &EndpointId,
        exhausted: &ExhaustedDelivery<'_>,
    ) -> anyhow::Result<OutgoingMessage> {
        let now = clock::now();
        let data = ErrorOccurred {
            error_type: ErrorOccurred::DELIVERY_FAILED.to_owned(),
            error_message: format!("All webhook attempts failed for event: {}: {}", exhausted.event, exhausted.reason),
            context: json!({
                "endpoint": endpoint,
                "eventId": exhausted.event_id,
                "event": exhausted.event,
                "attempts": exhausted.attempts,
                "lastStatus": exhausted.last_status,
            }),
            timestamp: clock::iso(now),
        };
        let mut headers = HeaderMap::new();
        let seed = format!(
            "{} {endpoint} {} {}",
            ErrorOccurred::DELIVERY_FAILED,
            exhausted.event_sequence,
            exhausted.replay.unwrap_or_default()
        );
        headers.insert(header::EVENT_ID, exhausted.event_id.derived(&seed).as_str());
        headers.insert(header::NOT_FOR, endpoint.as_str());
        trace_context::inject(&mut headers);
        Ok(OutgoingMessage {
            subject: subject::event(&session_of(exhausted.event_subject), &EventType::ERROR_OCCURRED),
            headers,
            payload: to_json(&EventEnvelope::new(EventType::ERROR_OCCURRED, now, data))?,
        })
    }
}

/// NATS counts headers as payload. These are an id, a subject and a trace.
const HEADERS_RESERVE: usize = 1024;
