//! An event on its way into EVENTS: made once, and published until JetStream has stored it.
//!
//! A repeat has the same id, so JetStream stores one. The caller decides what happens when the time is up.

use crate::{event_size, metrics::GatewayMetrics};
use async_nats::{
    HeaderMap,
    jetstream::{
        self, ErrorCode,
        context::{PublishError, PublishErrorKind},
        message::PublishMessage,
    },
};
use bytes::Bytes;
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    clock,
    event::{EventEnvelope, EventId, EventType},
    header,
    session::SessionId,
    stream, subject,
};
use serde::Serialize;
use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout_at};

/// An event as EVENTS holds it.
#[derive(Clone, Debug)]
pub struct OutgoingEvent {
    pub id: EventId,
    kind: EventType,
    subject: String,
    payload: Bytes,
    at: OffsetDateTime,
}

impl OutgoingEvent {
    #[must_use]
    #[expect(clippy::expect_used, reason = "only a map whose keys are no text fails, and no event's data has one")]
    pub fn new<D: Serialize>(session: &SessionId, kind: EventType, id: EventId, at: OffsetDateTime, data: D) -> Self {
        let subject = subject::event(session, &kind);
        let payload = serde_json::to_vec(&EventEnvelope::new(kind.clone(), at, data)).expect("an event is JSON");
        Self { id, kind, subject, payload: payload.into(), at }
    }

    fn headers(&self, cloud_events: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::EVENT_ID, self.id.as_str());
        if cloud_events && let Some((session, kind)) = subject::parse_event(&self.subject) {
            headers.insert(header::CLOUD_EVENT_SPECVERSION, "1.0");
            headers.insert(header::CLOUD_EVENT_ID, self.id.as_str());
            headers.insert(header::CLOUD_EVENT_SOURCE, format!("/sessions/{session}").as_str());
            headers.insert(header::CLOUD_EVENT_TYPE, kind.as_str());
            headers.insert(header::CLOUD_EVENT_TIME, clock::iso(self.at).as_str());
        }
        headers
    }

    #[must_use]
    pub fn size(&self) -> usize {
        self.payload.len()
    }

    /// The same event with at most `limit` bytes; none if not even its ids fit.
    fn fitted(&self, limit: usize) -> Option<Self> {
        event_size::fitted(&self.payload, limit).map(|payload| Self { payload: payload.into(), ..self.clone() })
    }
}

/// The time was up before JetStream acknowledged the event. It may still be stored: a try that timed out may wait in
/// the client's queue.
#[derive(Debug, thiserror::Error)]
#[error("the broker did not store the event in time: {last}")]
pub struct PublishTimeout {
    last: String,
}

/// Why one try failed.
enum PublishFailure {
    /// NATS will refuse the event again, however long the gateway waits.
    TooLarge,
    Away(String),
}

/// An event's own headers have fewer bytes.
const HEADERS: usize = 1_024;
/// Retries and dead letters hold the event with more headers, within the same limit of NATS.
const HEADROOM: usize = 8;

/// The first pause between two tries. Each pause is twice the one before, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause, so that the end of an outage is noticed within a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Publishes events.
#[derive(Clone)]
pub struct EventPublisher {
    broker: Broker,
    /// Whether events carry the CloudEvents headers, too.
    cloud_events: bool,
    /// The largest message that EVENTS takes, in bytes, as far as it is known.
    largest_message: Arc<AtomicUsize>,
    pub metrics: GatewayMetrics,
}

impl EventPublisher {
    #[must_use]
    pub fn new(broker: Broker, cloud_events: bool, metrics: GatewayMetrics) -> Self {
        Self { broker, cloud_events, largest_message: Arc::new(AtomicUsize::new(usize::MAX)), metrics }
    }

    /// Tries until JetStream has acknowledged the event, or until `deadline`. An event that is too large for NATS is
    /// stored with less in it, which its `truncated` names.
    ///
    /// # Errors
    /// When the deadline has passed.
    pub async fn publish(&self, event: &OutgoingEvent, deadline: Instant) -> Result<(), PublishTimeout> {
        let mut event = self.within(&Cow::Borrowed(event), self.limit());
        let mut pause = FIRST_PAUSE;
        loop {
            let last = match timeout_at(deadline, self.try_publish(&event)).await {
                Ok(Ok(())) => {
                    self.metrics.count_published(&event.kind);
                    return Ok(());
                }
                Ok(Err(PublishFailure::TooLarge)) => {
                    self.learn_largest_message().await;
                    // If the limits allow it, they have changed, or others stand in between.
                    let limit = self.limit().min(event.size() / 2);
                    let size = event.size();
                    event = self.within(&event, limit);
                    if event.size() < size {
                        continue;
                    }
                    "NATS takes no event of this size".to_owned()
                }
                Ok(Err(PublishFailure::Away(problem))) => problem,
                Err(_) => "no answer".to_owned(),
            };
            let wait = add_jitter(pause);
            if Instant::now() + wait >= deadline {
                return Err(PublishTimeout { last });
            }
            tracing::debug!(event.id = %event.id, "failed to publish, trying again: {last}");
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The number of bytes that an event may have, as far as it is known.
    fn limit(&self) -> usize {
        let payload = self.broker.client.max_payload();
        let largest = self.largest_message.load(Ordering::Relaxed);
        (payload - payload / HEADROOM).min(largest.saturating_sub(HEADERS))
    }

    /// The event, made smaller if it is larger than this.
    fn within<'a>(&self, event: &Cow<'a, OutgoingEvent>, limit: usize) -> Cow<'a, OutgoingEvent> {
        if event.size() <= limit {
            return event.clone();
        }
        let Some(smaller) = event.fitted(limit) else {
            tracing::error!(event.id = %event.id, "an event of {} bytes cannot be made to fit into {limit}", event.size());
            return event.clone();
        };
        tracing::warn!(event.id = %event.id, "an event of {} bytes is too large for NATS: {} are stored", event.size(), smaller.size());
        self.metrics.count_truncated(&event.kind);
        Cow::Owned(smaller)
    }

    /// Reads the limit of EVENTS, which an operator may set at any time.
    async fn learn_largest_message(&self) {
        let Ok(events) = self.broker.jetstream.get_stream(stream::EVENTS).await else { return };
        let largest = usize::try_from(events.cached_info().config.max_message_size).unwrap_or(usize::MAX);
        self.largest_message.store(if largest == 0 { usize::MAX } else { largest }, Ordering::Relaxed);
    }

    async fn try_publish(&self, event: &OutgoingEvent) -> Result<(), PublishFailure> {
        // Without a connection the client would queue one more copy, and the try would wait for nothing.
        if !self.broker.is_connected() {
            return Err(PublishFailure::Away("no connection to NATS".to_owned()));
        }
        let mut headers = event.headers(self.cloud_events);
        trace_context::inject(&mut headers);
        let message = PublishMessage::build().payload(event.payload.clone()).headers(headers);
        let sent = self.broker.jetstream.send_publish(event.subject.clone(), message).await;
        let stored = match sent {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(_) => Ok(()),
            Err(error) => {
                if is_too_large(&error) {
                    return Err(PublishFailure::TooLarge);
                }
                if error.kind() == PublishErrorKind::StreamNotFound {
                    // NATS came back without its store. Every service makes the missing streams.
                    let made = self.broker.create_missing_streams().await;
                    made.map_err(|error| PublishFailure::Away(format!("{error:#}")))?;
                }
                Err(PublishFailure::Away(error.to_string()))
            }
        }
    }
}

fn is_too_large(error: &PublishError) -> bool {
    let refusal = std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    let is_refused = refusal.is_some_and(|refusal| refusal.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM);
    is_refused || error.kind() == PublishErrorKind::MaxPayloadExceeded
}

/// Between half of `pause` and all of it, so that many waiting chats do not try at the same moment.
fn add_jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: OffsetDateTime = time::macros::datetime!(2026-11-24 12:00 UTC);

    #[test]
    fn cloud_events_are_headers_if_they_are_asked_for() {
        let id = EventId::from_header("evt_1");
        let event = OutgoingEvent::new(&SessionId::default(), EventType::MESSAGE_RECEIVED, id, AT, ());
        let headers = |asked| {
            let headers = event.headers(asked);
            let mut headers: Vec<(String, String)> =
                headers.iter().map(|(name, values)| (name.to_string(), values[0].to_string())).collect();
            headers.sort();
            headers
        };
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let id = ("Nats-Msg-Id", "evt_1");
        assert_eq!(headers(false), [id].map(pair));
        let all = [
            id,
            ("ce-id", "evt_1"),
            ("ce-source", "/sessions/default"),
            ("ce-specversion", "1.0"),
            ("ce-time", "2026-11-24T12:00:00.000Z"),
            ("ce-type", "message.received"),
        ];
        assert_eq!(headers(true), all.map(pair));
    }
}
