//! The next attempts, kept by NATS: a scheduled message in RETRIES names endpoint, event and attempt.
//!
//! The schedule and the attempt's number thus outlive every dispatcher and NATS itself, and waiting retries do not
//! delay fresh events. A subject has one schedule, and the subject names the event: a step that is repeated after a
//! crash replaces its schedule and adds none.

use crate::{event::StoredEvent, jetstream::event_reader::EventReader};
use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    jetstream::stream::{DirectGetErrorKind, Stream},
};
use bytes::Bytes;
use kurir_chassis::{broker::Broker, publish::OutgoingMessage};
use kurir_contract::{clock, delivery::DeadLetter, endpoint::EndpointId, event::EventId, header, stream, subject};
use time::OffsetDateTime;
use tokio::time::Instant;

/// The run in the subject of a retry that belongs to no replay.
pub const LIVE_RUN: &str = "live";

/// An attempt that is to be scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextRetry {
    /// Counted from 1.
    pub attempt: u32,
    pub at: OffsetDateTime,
    pub scope: RetryScope,
}

/// A retry whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRetry {
    pub event_id: EventId,
    pub event_subject: String,
    /// The event's sequence in EVENTS.
    pub event_sequence: u64,
    /// Counted from 1.
    pub attempt: u32,
    pub scope: RetryScope,
}

/// Which deliveries a retry belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryScope {
    pub chat: String,
    /// The replay's id; none outside a replay.
    pub replay: Option<String>,
}

impl RetryScope {
    /// The chat in the subject of an endpoint that does not keep its chats in order.
    pub const NO_CHAT: &str = "-";

    /// The scope of deliveries outside a replay.
    #[must_use]
    pub fn live(chat: String) -> Self {
        Self { chat, replay: None }
    }

    fn retry_subject<'a>(&'a self, endpoint: &'a EndpointId, event_sequence: u64) -> subject::RetrySubject<'a> {
        let run = self.replay.as_deref().unwrap_or(LIVE_RUN);
        subject::RetrySubject { endpoint, chat: &self.chat, run, sequence: event_sequence }
    }
}

/// An event that a replay delivers again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayEntry {
    pub event_id: EventId,
    pub event_subject: String,
    /// The event's sequence in EVENTS.
    pub event_sequence: u64,
}

impl ReplayEntry {
    /// A retry that is due at once: the first attempt of a replay. It has no schedule that a repeat would replace, so
    /// it has an id: a step that is repeated after a crash stores no second message.
    #[must_use]
    pub fn due(&self, endpoint: &EndpointId, replay: &str) -> OutgoingMessage {
        let scope = RetryScope { chat: RetryScope::NO_CHAT.to_owned(), replay: Some(replay.to_owned()) };
        let mut headers = retry_headers(&self.event_id, &self.event_subject, 1);
        headers.insert(header::EVENT_ID, format!("{replay} {}", self.event_id));
        OutgoingMessage {
            subject: scope.retry_subject(endpoint, self.event_sequence).due(),
            headers,
            payload: Bytes::new(),
        }
    }
}

/// The headers of each message in RETRIES: the event, and the attempt that the message asks for.
pub fn retry_headers(event_id: &EventId, event_subject: &str, attempt: u32) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::KURIR_EVENT_ID, event_id.as_str());
    headers.insert(header::EVENT_SUBJECT, event_subject);
    headers.insert(header::ATTEMPT, attempt.to_string());
    headers
}

/// RETRIES, and the streams that hold the events of retries.
pub struct RetryQueue {
    broker: Broker,
    retries: Stream<()>,
    events: EventReader,
    dead_letters: Stream<()>,
}

impl RetryQueue {
    pub async fn open(broker: Broker) -> anyhow::Result<Self> {
        let stream = async |name| broker.jetstream.get_stream_no_info(name).await.context("failed to open a stream");
        Ok(Self {
            retries: stream(stream::RETRIES).await?,
            events: EventReader::open(&broker).await?,
            dead_letters: stream(stream::DEAD_LETTERS).await?,
            broker,
        })
    }

    /// Schedules an attempt. Replaces the schedule of this event in this scope.
    pub async fn schedule(
        &self,
        endpoint: &EndpointId,
        event: &StoredEvent,
        next: &NextRetry,
        by: Instant,
    ) -> anyhow::Result<()> {
        let retry = next.scope.retry_subject(endpoint, event.sequence);
        let mut headers = retry_headers(&event.id, &event.subject, next.attempt);
        headers.insert(header::SCHEDULE, format!("@at {}", clock::iso(next.at)));
        headers.insert(header::SCHEDULE_TARGET, retry.due());
        // The payload stays in EVENTS: 100,000 waiting copies would be 80 MB.
        let message = OutgoingMessage { subject: retry.waiting(), headers, payload: Bytes::new() };
        let stored = self.broker.publish_until_stored(&message, by).await;
        stored.with_context(|| format!("failed to store {}", message.subject))?;
        Ok(())
    }

    /// Parses a retry that is due.
    pub fn parse_due(message: &async_nats::Message) -> anyhow::Result<DueRetry> {
        let headers = message.headers.as_ref().context("a retry has no headers")?;
        let retry = subject::parse_retry(&message.subject).context("a retry names no sequence")?;
        let text = |name| headers.get(name).map(async_nats::HeaderValue::as_str);
        Ok(DueRetry {
            event_id: EventId::from_header(text(header::KURIR_EVENT_ID).context("a retry names no event")?),
            event_subject: text(header::EVENT_SUBJECT).unwrap_or_default().to_owned(),
            event_sequence: retry.sequence,
            scope: RetryScope {
                chat: retry.chat.to_owned(),
                replay: (retry.run != LIVE_RUN).then(|| retry.run.to_owned()),
            },
            attempt: text(header::ATTEMPT).and_then(|attempt| attempt.parse().ok()).context("a retry has no number")?,
        })
    }

    /// The event of a retry; none if it is gone from EVENTS, and, in a replay, from the dead letters, too.
    pub async fn read_event(&self, endpoint: &EndpointId, due: &DueRetry) -> anyhow::Result<Option<StoredEvent>> {
        match self.events.read(due.event_sequence, &due.event_id).await? {
            None if due.scope.replay.is_some() => self.read_dead_letter(endpoint, due).await,
            event => Ok(event),
        }
    }

    /// A dead letter outlives its event, and holds it.
    async fn read_dead_letter(&self, endpoint: &EndpointId, due: &DueRetry) -> anyhow::Result<Option<StoredEvent>> {
        let subject = subject::dead_letter(endpoint, &due.event_id);
        let stored = match self.dead_letters.direct_get_last_for_subject(subject).await {
            Ok(stored) => stored,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("failed to read a dead letter"),
        };
        let letter: DeadLetter = serde_json::from_slice(&stored.payload).context("a dead letter is not readable")?;
        if letter.payload.is_empty() {
            return Ok(None);
        }
        let mut event =
            StoredEvent::new(due.event_subject.as_str().into(), due.event_sequence, None, letter.payload.into());
        event.id = letter.event_id;
        Ok(Some(event))
    }

    /// Whether RETRIES already holds what follows the first attempt of this event: then a dispatcher died after it had
    /// stored the retry and before it had acknowledged the event.
    pub async fn has_retry(
        &self,
        endpoint: &EndpointId,
        scope: &RetryScope,
        sequence: u64,
        event: &EventId,
    ) -> anyhow::Result<bool> {
        let retry = scope.retry_subject(endpoint, sequence);
        // In this order, a retry that becomes due in between is seen.
        Ok(self.last_sequence(&retry.waiting(), event).await?.is_some()
            || self.last_sequence(&retry.due(), event).await?.is_some())
    }

    /// Whether RETRIES already holds what follows this attempt. `sequence`: of the due retry, in RETRIES.
    pub async fn has_later_retry(&self, endpoint: &EndpointId, due: &DueRetry, sequence: u64) -> anyhow::Result<bool> {
        let retry = due.scope.retry_subject(endpoint, due.event_sequence);
        let is_later = |stored: Option<u64>| stored.is_some_and(|stored| stored > sequence);
        let event = &due.event_id;
        Ok(is_later(self.last_sequence(&retry.waiting(), event).await?)
            || is_later(self.last_sequence(&retry.due(), event).await?))
    }

    /// The sequence of the last message in RETRIES with this subject, if it is about this event. If EVENTS was deleted and
    /// made again, the same subject may hold a retry of an older event.
    async fn last_sequence(&self, subject: &str, event: &EventId) -> anyhow::Result<Option<u64>> {
        match self.retries.direct_get_last_for_subject(subject).await {
            Ok(message) => {
                let of = message.headers.get(header::KURIR_EVENT_ID).map(async_nats::HeaderValue::as_str);
                Ok((of == Some(event.as_str())).then_some(message.sequence))
            }
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("failed to read RETRIES"),
        }
    }
}
