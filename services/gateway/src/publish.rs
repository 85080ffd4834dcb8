//! An event on its way into EVENTS: made once, and published until JetStream has stored it.
//!
//! A repeat has the same id, so JetStream stores one. The caller decides what happens when the time is up.

use crate::metrics::GatewayMetrics;
use async_nats::{
    HeaderMap,
    jetstream::{context::PublishErrorKind, message::PublishMessage},
};
use bytes::Bytes;
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    clock,
    event::{EventEnvelope, EventId, EventType},
    header,
    session::SessionId,
    subject,
};
use serde::Serialize;
use std::time::Duration;
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
}

/// The time was up before JetStream acknowledged the event. It may still be stored: a try that timed out may wait in
/// the client's queue.
#[derive(Debug, thiserror::Error)]
#[error("the broker did not store the event in time: {last}")]
pub struct PublishTimeout {
    last: String,
}

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
        let mut pause = FIRST_PAUSE;
        loop {
            let last = match timeout_at(deadline, self.try_publish(event)).await {
                Ok(Ok(())) => {
                    self.metrics.count_published(&event.kind);
                    return Ok(());
                }
                Ok(Err(problem)) => problem,
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

    async fn try_publish(&self, event: &OutgoingEvent) -> Result<(), String> {
        // Without a connection the client would queue one more copy, and the try would wait for nothing.
        if !self.broker.is_connected() {
            return Err("no connection to NATS".to_owned());
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
                if error.kind() == PublishErrorKind::StreamNotFound {
                    // NATS came back without its store. Every service makes the missing streams.
                    self.broker.create_missing_streams().await.map_err(|error| format!("{error:#}"))?;
                }
                Err(error.to_string())
            }
        }
    }
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
