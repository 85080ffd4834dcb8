//! An event on its way into EVENTS: made once, published until JetStream has stored it.
//!
//! A repeat has the same id, so JetStream stores one. What to do when the time is up is the caller's decision.

use async_nats::{
    HeaderMap,
    jetstream::{context::PublishErrorKind, message::PublishMessage},
};
use bytes::Bytes;
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    event::{Envelope, EventId, EventType},
    header,
    session::SessionId,
    subject,
};
use serde::Serialize;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout_at};

/// An event as EVENTS will hold it.
#[derive(Clone, Debug)]
pub struct OutgoingEvent {
    pub id: EventId,
    subject: String,
    payload: Bytes,
}

impl OutgoingEvent {
    #[must_use]
    #[expect(clippy::expect_used, reason = "only a map whose keys are no text fails, and no event's data has one")]
    pub fn new<D: Serialize>(session: &SessionId, kind: EventType, id: EventId, at: OffsetDateTime, data: D) -> Self {
        let subject = subject::event(session, &kind);
        let payload = serde_json::to_vec(&Envelope::new(kind, at, data)).expect("an event is JSON");
        Self { id, subject, payload: payload.into() }
    }

    #[must_use]
    pub fn size(&self) -> usize {
        self.payload.len()
    }
}

/// The time was up before JetStream stored the event. It may still be stored later: a try that timed out may wait in
/// the client's queue.
#[derive(Debug, thiserror::Error)]
#[error("the broker did not store the event in time: {last}")]
pub struct NotStored {
    last: String,
}

/// The first pause between two tries; doubled each time, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest, so that an outage's end is seen within a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Stores events.
#[derive(Clone)]
pub struct Publisher {
    broker: Broker,
}

impl Publisher {
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self { broker }
    }

    /// Tries until JetStream has acknowledged the event, or until `deadline`.
    ///
    /// # Errors
    /// When the deadline has passed.
    pub async fn store(&self, event: &OutgoingEvent, deadline: Instant) -> Result<(), NotStored> {
        let mut pause = FIRST_PAUSE;
        loop {
            let last = match timeout_at(deadline, self.try_once(event)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(problem)) => problem,
                Err(_) => "no answer".to_owned(),
            };
            let wait = jittered(pause);
            if Instant::now() + wait >= deadline {
                return Err(NotStored { last });
            }
            tracing::debug!(event.id = %event.id, "failed to publish, trying again: {last}");
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_once(&self, event: &OutgoingEvent) -> Result<(), String> {
        // A publish without a connection would queue one more copy in the client and then wait for nothing.
        if !self.broker.is_connected() {
            return Err("no connection to NATS".to_owned());
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::EVENT_ID, event.id.as_str());
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
                    // NATS came back without its store; every service makes the streams that are missing.
                    self.broker.make_streams().await.map_err(|error| format!("{error:#}"))?;
                }
                Err(error.to_string())
            }
        }
    }
}

/// Between half of `pause` and all of it, so that many waiting chats do not come back in one moment.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}
