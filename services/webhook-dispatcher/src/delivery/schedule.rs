//! The next attempts, kept by the broker: a scheduled message in RETRIES names endpoint, event and attempt.
//!
//! So the schedule and the attempt's number outlive every dispatcher and the broker itself, and waiting retries never
//! stand in the way of fresh events. There is one schedule a subject, and the subject names the event: a step that is
//! repeated after a crash replaces its schedule and adds none.

use super::{
    Event,
    store::{self, Message},
};
use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    jetstream::stream::{DirectGetErrorKind, RawMessageErrorKind, Stream},
};
use bytes::Bytes;
use kurir_chassis::broker::Broker;
use kurir_contract::{clock, endpoint::EndpointId, event::EventId, header, stream, subject};
use time::OffsetDateTime;
use tokio::time::Instant;

/// Of a subject's chat while no endpoint keeps its chats in order.
const NO_CHAT: &str = "-";
/// Of a subject's run: not a replay.
const LIVE: &str = "live";

/// A retry whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub event_id: EventId,
    pub event_subject: String,
    /// Of the event in EVENTS.
    pub event_sequence: u64,
    /// Counted from 1.
    pub attempt: u32,
}

/// RETRIES, as one endpoint uses it, and EVENTS, where the events of its retries are.
pub struct Schedule {
    broker: Broker,
    endpoint: EndpointId,
    retries: Stream<()>,
    events: Stream<()>,
}

impl Schedule {
    pub async fn open(broker: Broker, endpoint: EndpointId) -> anyhow::Result<Self> {
        let stream = async |name| broker.jetstream.get_stream_no_info(name).await.context("failed to name a stream");
        let (retries, events) = (stream(stream::RETRIES).await?, stream(stream::EVENTS).await?);
        Ok(Self { broker, endpoint, retries, events })
    }

    /// Keeps `attempt` for `at`; replaces what was kept for this event.
    pub async fn keep(&self, event: &Event, attempt: u32, at: OffsetDateTime, by: Instant) -> anyhow::Result<()> {
        let retry = self.retry(event.sequence);
        let mut headers = HeaderMap::new();
        headers.insert(header::SCHEDULE, format!("@at {}", clock::iso(at)));
        headers.insert(header::SCHEDULE_TARGET, retry.due());
        headers.insert(header::KURIR_EVENT_ID, event.id.as_str());
        headers.insert(header::EVENT_SUBJECT, &*event.subject);
        headers.insert(header::ATTEMPT, attempt.to_string());
        // The payload stays in EVENTS: 100,000 waiting copies would be 80 MB.
        store::store(&self.broker, &Message { subject: retry.waiting(), headers, payload: Bytes::new() }, by).await
    }

    /// What a message of RETRIES asks for.
    pub fn read(message: &async_nats::Message) -> anyhow::Result<Due> {
        let headers = message.headers.as_ref().context("a retry has no headers")?;
        let text = |name| headers.get(name).map(async_nats::HeaderValue::as_str);
        Ok(Due {
            event_id: EventId::from_header(text(header::KURIR_EVENT_ID).context("a retry names no event")?),
            event_subject: text(header::EVENT_SUBJECT).unwrap_or_default().to_owned(),
            event_sequence: subject::parse_retry(&message.subject)
                .map(|retry| retry.sequence)
                .context("a retry names no sequence")?,
            attempt: text(header::ATTEMPT).and_then(|attempt| attempt.parse().ok()).context("a retry has no number")?,
        })
    }

    /// The event of a retry; none if it is gone from EVENTS.
    pub async fn event(&self, due: &Due) -> anyhow::Result<Option<Event>> {
        let stored = match self.events.direct_get(due.event_sequence).await {
            Ok(stored) => stored,
            // A replica may lag behind: that it is gone is the leader's to say.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                match self.events.get_raw_message(due.event_sequence).await {
                    Ok(stored) => stored,
                    Err(error) if is_not_found(&error.kind()) => return Ok(None),
                    Err(error) => return Err(error).context("failed to read an event"),
                }
            }
            Err(error) => return Err(error).context("failed to read an event"),
        };
        let event = Event::from(stored);
        // EVENTS may have been deleted and made again: then the sequence is another event's.
        Ok((event.id == due.event_id).then_some(event))
    }

    /// Whether RETRIES already holds what follows the first attempt of this event: a dispatcher died after it had kept
    /// the retry and before it had acknowledged the event.
    pub async fn holds_retry_of(&self, event_sequence: u64) -> anyhow::Result<bool> {
        let retry = self.retry(event_sequence);
        // In this order a retry that fires in between is seen.
        Ok(self.last(&retry.waiting()).await?.is_some() || self.last(&retry.due()).await?.is_some())
    }

    /// Whether RETRIES already holds what follows this attempt.
    pub async fn holds_successor_of(&self, due: &Due, sequence: u64) -> anyhow::Result<bool> {
        let retry = self.retry(due.event_sequence);
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

    fn retry(&self, event_sequence: u64) -> subject::Retry<'_> {
        subject::Retry { endpoint: &self.endpoint, chat: NO_CHAT, run: LIVE, sequence: event_sequence }
    }
}

fn is_not_found(kind: &RawMessageErrorKind) -> bool {
    matches!(kind, RawMessageErrorKind::NoMessageFound)
}
