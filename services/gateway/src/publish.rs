//! An event on its way into EVENTS: made once, and published until JetStream has stored it.
//!
//! A repeat has the same id, so JetStream stores one. The caller decides what happens when the time is up.

use crate::{
    event_size,
    metrics::GatewayMetrics,
    session::session_guard::SessionGuard,
    storage::{StorageMonitor, StorageProblem},
};
use bytes::Bytes;
use kurir_chassis::{
    broker::Broker,
    publish::{OutgoingMessage, PublishError},
};
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
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until};

/// An event as EVENTS holds it.
#[derive(Clone, Debug)]
pub struct OutgoingEvent {
    pub id: EventId,
    kind: EventType,
    subject: String,
    payload: Bytes,
    at: OffsetDateTime,
    raw_on_request: bool,
}

impl OutgoingEvent {
    #[must_use]
    #[expect(clippy::expect_used, reason = "only a map whose keys are no text fails, and no event's data has one")]
    pub fn new<D: Serialize>(session: &SessionId, kind: EventType, id: EventId, at: OffsetDateTime, data: D) -> Self {
        let subject = subject::event(session, &kind);
        let payload = serde_json::to_vec(&EventEnvelope::new(kind.clone(), at, data)).expect("an event is JSON");
        Self { id, kind, subject, payload: payload.into(), at, raw_on_request: false }
    }

    /// The event with the mark that its `raw` is there only for endpoints that ask for it.
    #[must_use]
    pub fn with_raw_on_request(self) -> Self {
        Self { raw_on_request: true, ..self }
    }

    fn message(&self, has_cloud_events: bool) -> OutgoingMessage {
        let message = OutgoingMessage::new(self.subject.clone(), self.payload.clone()).with_id(self.id.as_str());
        let message = if self.raw_on_request { message.with_header(header::RAW_ON_REQUEST, "1") } else { message };
        match subject::parse_event(&self.subject) {
            Some((session, kind)) if has_cloud_events => message
                .with_header(header::CLOUD_EVENT_SPECVERSION, "1.0")
                .with_header(header::CLOUD_EVENT_ID, self.id.as_str())
                .with_header(header::CLOUD_EVENT_SOURCE, format!("/sessions/{session}").as_str())
                .with_header(header::CLOUD_EVENT_TYPE, kind.as_str())
                .with_header(header::CLOUD_EVENT_TIME, clock::iso(self.at).as_str()),
            Some(_) | None => message,
        }
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

/// The metadata of a session, which each of its events carries as `data.sessionMetadata`. A clone shares it.
#[derive(Clone, Debug, Default)]
pub struct SessionMetadata(Arc<RwLock<Bytes>>);

impl SessionMetadata {
    /// Changes the metadata of all later events.
    pub fn set(&self, metadata: &BTreeMap<String, String>) {
        let texts = if metadata.is_empty() { Vec::new() } else { serde_json::to_vec(metadata).unwrap_or_default() };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = texts.into();
    }

    /// The event with the metadata at the end of its data, which is the end of the event.
    fn added_to<'a>(&self, event: &'a OutgoingEvent) -> Cow<'a, OutgoingEvent> {
        let metadata = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(data) = event.payload.strip_suffix(b"}}").filter(|_| !metadata.is_empty()) else {
            return Cow::Borrowed(event);
        };
        let name: &[u8] = if data.ends_with(b"{") { b"\"sessionMetadata\":" } else { b",\"sessionMetadata\":" };
        let payload = [data, name, &metadata, b"}}"].concat().into();
        Cow::Owned(OutgoingEvent { payload, ..event.clone() })
    }
}

/// The time was up before JetStream acknowledged the event. It may still be stored: a try that timed out may wait in
/// the client's queue.
#[derive(Debug, thiserror::Error)]
#[error("the broker did not store the event in time: {0}")]
pub struct PublishTimeout(PublishError);

impl PublishTimeout {
    /// Whether NATS would refuse the event at each later try, too: it cannot be made small enough.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        !self.0.is_retryable()
    }
}

/// A refusal is reported after this time, though the event is tried for longer.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

/// An event's own headers have fewer bytes.
const HEADERS: usize = 1_024;
/// Retries and dead letters hold the event with more headers, within the same limit of NATS.
const HEADROOM: usize = 8;

/// Publishes events.
#[derive(Clone)]
pub struct EventPublisher {
    broker: Broker,
    /// Whether events carry the CloudEvents headers, too.
    cloud_events: bool,
    /// Shut while another gateway may hold the session.
    pub guard: SessionGuard,
    metadata: SessionMetadata,
    /// The largest message that EVENTS takes, in bytes, as far as it is known.
    largest_message: Arc<AtomicUsize>,
    pub storage: StorageMonitor,
    pub metrics: GatewayMetrics,
}

impl EventPublisher {
    #[must_use]
    pub fn new(
        broker: Broker,
        cloud_events: bool,
        metrics: GatewayMetrics,
        storage: StorageMonitor,
        (guard, metadata): (SessionGuard, SessionMetadata),
    ) -> Self {
        let largest_message = Arc::new(AtomicUsize::new(usize::MAX));
        Self { broker, cloud_events, guard, metadata, largest_message, storage, metrics }
    }

    /// Why NATS stores nothing; none if it does, or if it is away.
    #[must_use]
    pub fn storage_problem(&self) -> Option<StorageProblem> {
        self.storage.problem()
    }

    /// Publishes until `deadline`, and reports meanwhile whether NATS refuses.
    async fn publish_noticed(&self, message: &OutgoingMessage, deadline: Instant) -> Result<(), PublishError> {
        loop {
            let step = deadline.min(Instant::now() + NOTICED_WITHIN);
            let published = self.broker.publish_until_stored(message, step).await.map(drop);
            self.storage.record_publish(&published).await;
            let Err(error) = published else { return Ok(()) };
            if !error.is_retryable() || Instant::now() + NOTICED_WITHIN / 2 >= deadline {
                return Err(error);
            }
            // The tries end a pause before their deadline.
            sleep_until(step).await;
        }
    }

    /// Tries until JetStream has acknowledged the event, or until `deadline`. An event that is too large for NATS is
    /// stored with less in it, which its `truncated` names.
    ///
    /// # Errors
    /// When the deadline has passed.
    pub async fn publish(&self, event: &OutgoingEvent, deadline: Instant) -> Result<(), PublishTimeout> {
        let event = self.metadata.added_to(event);
        let mut event = self.within(&event, self.limit());
        loop {
            if !self.guard.wait_open(deadline).await {
                return Err(PublishTimeout(PublishError::NotConnected));
            }
            let message = event.message(self.cloud_events).with_trace_context();
            let error = match self.publish_noticed(&message, deadline).await {
                Ok(()) => {
                    self.metrics.count_published(&event.kind);
                    return Ok(());
                }
                Err(error) if error.is_retryable() => return Err(PublishTimeout(error)),
                Err(error) => error,
            };
            self.learn_largest_message().await;
            // If the known limits allow the event, they have changed, or another limit applies.
            let (size, limit) = (event.size(), self.limit().min(event.size() / 2));
            event = self.within(&event, limit);
            if event.size() == size {
                // A caller tries again at once, also if NATS never takes this event.
                sleep_until(deadline).await;
                return Err(PublishTimeout(error));
            }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: OffsetDateTime = time::macros::datetime!(2026-11-24 12:00 UTC);

    #[test]
    fn the_metadata_of_a_session_is_the_end_of_its_events() {
        let metadata = SessionMetadata::default();
        let id = EventId::from_header("evt_1");
        let event = |data: serde_json::Value| {
            OutgoingEvent::new(&SessionId::default(), EventType::MESSAGE_RECEIVED, id.clone(), AT, data)
        };
        let with = |metadata: &SessionMetadata, data: serde_json::Value| {
            let event = event(data);
            serde_json::from_slice::<serde_json::Value>(&metadata.added_to(&event).payload).expect("JSON")
        };
        let data = serde_json::json!({"content": {"text": "}}"}});
        assert_eq!(with(&metadata, data.clone())["data"], data);
        metadata.set(&BTreeMap::from([("crm".to_owned(), "a \"b\" 7".to_owned())]));
        let changed = with(&metadata, data);
        assert_eq!(changed["data"]["sessionMetadata"]["crm"], "a \"b\" 7");
        assert_eq!(changed["data"]["content"]["text"], "}}");
        assert_eq!(with(&metadata, serde_json::json!({}))["data"]["sessionMetadata"]["crm"], "a \"b\" 7");
        assert_eq!(with(&metadata, serde_json::Value::Null)["data"], serde_json::Value::Null);
    }

    #[test]
    fn cloud_events_are_headers_if_they_are_asked_for() {
        let id = EventId::from_header("evt_1");
        let event = OutgoingEvent::new(&SessionId::default(), EventType::MESSAGE_RECEIVED, id, AT, ());
        let headers = |asked| {
            let headers = event.message(asked).headers;
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
