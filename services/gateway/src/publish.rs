//! An event on its way into EVENTS: made once, and published until JetStream has stored it.
//!
//! A repeat has the same id, so JetStream stores one. The caller decides what happens when the time is up.

use crate::metrics::GatewayMetrics;
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
    subject,
};
use serde::Serialize;
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
}

impl OutgoingEvent {
    #[must_use]
    #[expect(clippy::expect_used, reason = "only a map whose keys are no text fails, and no event's data has one")]
    pub fn new<D: Serialize>(session: &SessionId, kind: EventType, id: EventId, at: OffsetDateTime, data: D) -> Self {
        let subject = subject::event(session, &kind);
        let payload = serde_json::to_vec(&EventEnvelope::new(kind.clone(), at, data)).expect("an event is JSON");
        Self { id, kind, subject, payload: payload.into(), at }
    }

    fn message(&self, has_cloud_events: bool) -> OutgoingMessage {
        let message = OutgoingMessage::new(self.subject.clone(), self.payload.clone()).with_id(self.id.as_str());
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
}

/// The time was up before JetStream acknowledged the event. It may still be stored: a try that timed out may wait in
/// the client's queue.
#[derive(Debug, thiserror::Error)]
#[error("the broker did not store the event in time: {0}")]
pub struct PublishTimeout(PublishError);

/// Publishes events.
#[derive(Clone)]
pub struct EventPublisher {
    broker: Broker,
    /// Whether events carry the CloudEvents headers, too.
    cloud_events: bool,
    pub metrics: GatewayMetrics,
}

impl EventPublisher {
    #[must_use]
    pub fn new(broker: Broker, cloud_events: bool, metrics: GatewayMetrics) -> Self {
        Self { broker, cloud_events, metrics }
    }

    /// Tries until JetStream has acknowledged the event, or until `deadline`.
    ///
    /// # Errors
    /// When the deadline has passed.
    pub async fn publish(&self, event: &OutgoingEvent, deadline: Instant) -> Result<(), PublishTimeout> {
        let message = event.message(self.cloud_events).with_trace_context();
        match self.broker.publish_until_stored(&message, deadline).await {
            Ok(_) => {
                self.metrics.count_published(&event.kind);
                Ok(())
            }
            Err(error) => {
                // A caller tries again at once, also if NATS never takes this event.
                if !error.is_retryable() {
                    sleep_until(deadline).await;
                }
                Err(PublishTimeout(error))
            }
        }
    }
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
