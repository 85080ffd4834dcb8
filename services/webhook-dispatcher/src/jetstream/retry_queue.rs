//! The next attempts, kept by the broker: a scheduled message in RETRIES names endpoint, event and attempt.
//!
//! So the schedule and the attempt's number outlive every dispatcher and the broker itself, and waiting retries never
//! stand in the way of fresh events. There is one schedule a subject, and the subject names the event: a step that is
//! repeated after a crash replaces its schedule and adds none.

use crate::{
    event::StoredEvent,
    jetstream::{
        event_reader::EventReader,
        publish::{self, OutgoingMessage},
    },
};
use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    jetstream::stream::{DirectGetErrorKind, Stream},
};
use bytes::Bytes;
use kurir_chassis::broker::Broker;
use kurir_contract::{clock, delivery::DeadLetter, endpoint::EndpointId, event::EventId, header, stream, subject};
use time::OffsetDateTime;
use tokio::time::Instant;

/// Of a subject's run: not a replay.
pub const LIVE: &str = "live";

/// An attempt that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextRetry {
    /// Counted from 1.
    pub attempt: u32,
    pub at: OffsetDateTime,
    pub place: RetryScope,
}

/// A retry whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRetry {
    pub event_id: EventId,
    pub event_subject: String,
    /// Of the event in EVENTS.
    pub event_sequence: u64,
    /// Counted from 1.
    pub attempt: u32,
    pub place: RetryScope,
}

/// Which deliveries a retry belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryScope {
    pub chat: String,
    /// A replay's id; none: it is none.
    pub replay: Option<String>,
}

impl RetryScope {
    /// Of an endpoint that does not keep its chats in order.
    pub const NO_CHAT: &str = "-";

    /// Not in a replay.
    #[must_use]
    pub fn live(chat: String) -> Self {
        Self { chat, replay: None }
    }

    fn retry<'a>(&'a self, endpoint: &'a EndpointId, event_sequence: u64) -> subject::RetrySubject<'a> {
        let run = self.replay.as_deref().unwrap_or(LIVE);
        subject::RetrySubject { endpoint, chat: &self.chat, run, sequence: event_sequence }
    }
}

/// An event that is to be delivered again because somebody asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayEntry {
    pub event_id: EventId,
    pub event_subject: String,
    /// Of the event in EVENTS.
    pub event_sequence: u64,
}

impl ReplayEntry {
    /// A retry that is due at once, the first attempt of a replay. It waits for no schedule, so it has an id instead of
    /// a subject's one place: a step that is repeated after a crash is not stored a second time.
    #[must_use]
    pub fn due(&self, endpoint: &EndpointId, replay: &str) -> OutgoingMessage {
        let place = RetryScope { chat: RetryScope::NO_CHAT.to_owned(), replay: Some(replay.to_owned()) };
        let mut headers = retry_headers(&self.event_id, &self.event_subject, 1);
        headers.insert(header::EVENT_ID, format!("{replay} {}", self.event_id));
        OutgoingMessage { subject: place.retry(endpoint, self.event_sequence).due(), headers, payload: Bytes::new() }
    }
}

/// What each message in RETRIES says of its event, and which attempt it asks for.
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
        let stream = async |name| broker.jetstream.get_stream_no_info(name).await.context("failed to name a stream");
        Ok(Self {
            retries: stream(stream::RETRIES).await?,
            events: EventReader::open(&broker).await?,
            dead_letters: stream(stream::DEAD_LETTERS).await?,
            broker,
        })
    }

    /// Keeps an attempt; replaces what was kept for this event in this place.
    pub async fn keep(
        &self,
        endpoint: &EndpointId,
        event: &StoredEvent,
        next: &NextRetry,
        by: Instant,
    ) -> anyhow::Result<()> {
        let retry = next.place.retry(endpoint, event.sequence);
        let mut headers = retry_headers(&event.id, &event.subject, next.attempt);
        headers.insert(header::SCHEDULE, format!("@at {}", clock::iso(next.at)));
        headers.insert(header::SCHEDULE_TARGET, retry.due());
        // The payload stays in EVENTS: 100,000 waiting copies would be 80 MB.
        publish::store(&self.broker, &OutgoingMessage { subject: retry.waiting(), headers, payload: Bytes::new() }, by)
            .await
    }

    /// What a message of RETRIES asks for.
    pub fn read(message: &async_nats::Message) -> anyhow::Result<DueRetry> {
        let headers = message.headers.as_ref().context("a retry has no headers")?;
        let retry = subject::parse_retry(&message.subject).context("a retry names no sequence")?;
        let text = |name| headers.get(name).map(async_nats::HeaderValue::as_str);
        Ok(DueRetry {
            event_id: EventId::from_header(text(header::KURIR_EVENT_ID).context("a retry names no event")?),
            event_subject: text(header::EVENT_SUBJECT).unwrap_or_default().to_owned(),
            event_sequence: retry.sequence,
            place: RetryScope {
                chat: retry.chat.to_owned(),
                replay: (retry.run != LIVE).then(|| retry.run.to_owned()),
            },
            attempt: text(header::ATTEMPT).and_then(|attempt| attempt.parse().ok()).context("a retry has no number")?,
        })
    }

    /// The event of a retry; none if it is gone from EVENTS, and from the dead letters if it comes from there.
    pub async fn event(&self, endpoint: &EndpointId, due: &DueRetry) -> anyhow::Result<Option<StoredEvent>> {
        match self.events.read(due.event_sequence, &due.event_id).await? {
            None if due.place.replay.is_some() => self.buried_event(endpoint, due).await,
            event => Ok(event),
        }
    }

    /// A dead letter outlives its event, and holds it.
    async fn buried_event(&self, endpoint: &EndpointId, due: &DueRetry) -> anyhow::Result<Option<StoredEvent>> {
        let subject = subject::dead_letter(endpoint, &due.event_id);
        let stored = match self.dead_letters.direct_get_last_for_subject(subject).await {
            Ok(stored) => stored,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("failed to read a dead letter"),
        };
        let letter: DeadLetter = serde_json::from_slice(&stored.payload).context("a dead letter cannot be read")?;
        if letter.payload.is_empty() {
            return Ok(None);
        }
        let mut event =
            StoredEvent::new(due.event_subject.as_str().into(), due.event_sequence, None, letter.payload.into());
        event.id = letter.event_id;
        Ok(Some(event))
    }

    /// Whether RETRIES already holds what follows the first attempt of this event: a dispatcher died after it had kept
    /// the retry and before it had acknowledged the event.
    pub async fn holds_retry_of(
        &self,
        endpoint: &EndpointId,
        place: &RetryScope,
        sequence: u64,
    ) -> anyhow::Result<bool> {
        let retry = place.retry(endpoint, sequence);
        // In this order a retry that fires in between is seen.
        Ok(self.last(&retry.waiting()).await?.is_some() || self.last(&retry.due()).await?.is_some())
    }

    /// Whether RETRIES already holds what follows this attempt. `sequence`: of the due retry, in RETRIES.
    pub async fn holds_successor_of(
        &self,
        endpoint: &EndpointId,
        due: &DueRetry,
        sequence: u64,
    ) -> anyhow::Result<bool> {
        let retry = due.place.retry(endpoint, due.event_sequence);
        let is_later = |last: Option<u64>| last.is_some_and(|last| last > sequence);
        Ok(is_later(self.last(&retry.waiting()).await?) || is_later(self.last(&retry.due()).await?))
    }

    /// The sequence of the last message in RETRIES with this subject.
    async fn last(&self, subject: &str) -> anyhow::Result<Option<u64>> {
        match self.retries.direct_get_last_for_subject(subject).await {
            Ok(message) => Ok(Some(message.sequence)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("failed to look into RETRIES"),
        }
    }
}
