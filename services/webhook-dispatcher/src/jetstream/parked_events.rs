//! The events of an ordered endpoint that wait in RETRIES: one message for each event, replaced at each change. No
//! consumer takes them. The dispatcher that holds the endpoint delivers them when they are due.

use crate::{
    event::{StoredEvent, session_of},
    jetstream::{
        event_reader::EventReader,
        events_identity::EventsIdentity,
        retry_queue::{LIVE_RUN, RetryScope, retry_headers},
    },
};
use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    jetstream::{
        message::StreamMessage,
        stream::{DirectGetErrorKind, LastRawMessageErrorKind, Stream},
    },
};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use kurir_chassis::{broker::Broker, publish::OutgoingMessage};
use kurir_contract::{
    chat::ChatToken,
    clock,
    endpoint::EndpointId,
    event::EventId,
    header, stream,
    subject::{self, RetrySubject},
};
use std::{collections::HashSet, time::Duration};
use time::OffsetDateTime;
use tokio::time::Instant;

/// The time to store one event. After it the holder starts again.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most messages that are moved at once.
const MAX_CONCURRENT: usize = 32;

/// An event that waits for its turn, as RETRIES holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEntry {
    pub event_id: EventId,
    pub event_subject: String,
    /// The next attempt, counted from 1.
    pub attempt: u32,
    pub due: OffsetDateTime,
}

impl ParkedEntry {
    fn headers(&self) -> HeaderMap {
        retry_headers(&self.event_id, &self.event_subject, self.attempt)
    }
}

#[derive(Clone)]
pub struct ParkedEvents {
    broker: Broker,
    retries: Stream<()>,
    events: EventReader,
    endpoint: EndpointId,
    /// The run in the subjects: it names the stream EVENTS in which the sequences count.
    run: String,
}

/// A parked event whose sequence counts in another stream than the present one.
#[derive(Clone, Debug)]
pub struct StrayEntry {
    pub subject: String,
    pub sequence: u64,
    pub entry: ParkedEntry,
}

impl ParkedEvents {
    pub async fn open(broker: Broker, endpoint: EndpointId) -> anyhow::Result<Self> {
        let retries = broker.jetstream.get_stream_no_info(stream::RETRIES).await.context("failed to open a stream")?;
        let events = EventReader::open(&broker).await?;
        let run = format!("{LIVE_RUN}-{}", EventsIdentity::read(&broker).await?.token());
        Ok(Self { broker, retries, events, endpoint, run })
    }

    /// Stores an event. Replaces what was stored of it.
    pub async fn store(&self, sequence: u64, chat: ChatToken, entry: &ParkedEntry) -> anyhow::Result<()> {
        let mut headers = entry.headers();
        headers.insert(header::DUE, clock::iso(entry.due));
        headers.insert(header::ROLLUP, "sub");
        // The payload stays in EVENTS.
        let message = OutgoingMessage { subject: self.subject(sequence, chat), headers, payload: Bytes::new() };
        self.publish(&message).await
    }

    pub async fn read(&self, sequence: u64, chat: ChatToken) -> anyhow::Result<Option<ParkedEntry>> {
        self.read_subject(&self.subject(sequence, chat)).await
    }

    pub async fn remove(&self, sequence: u64, chat: ChatToken) -> anyhow::Result<()> {
        self.purge(self.subject(sequence, chat)).await
    }

    /// All parked events.
    pub async fn list(&self) -> anyhow::Result<Vec<(u64, ChatToken)>> {
        let subjects = self.subjects(&subject::parked_retries(&self.endpoint)).await?;
        let read = |subject: &String| {
            let parsed = subject::parse_retry(subject).filter(|parsed| parsed.run == self.run)?;
            Some((parsed.sequence, parsed.chat.parse().ok()?))
        };
        Ok(subjects.iter().filter_map(read).collect())
    }

    pub async fn is_empty(&self) -> anyhow::Result<bool> {
        match self.retries.direct_get_next_for_subject(subject::parked_retries(&self.endpoint), Some(1)).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(true),
            Err(error) => Err(error).context("failed to read RETRIES"),
        }
    }

    /// The event of an entry; none if EVENTS does not hold it any more.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn read_event(&self, sequence: u64, entry: &ParkedEntry) -> anyhow::Result<Option<StoredEvent>> {
        self.events.read(sequence, &entry.event_id).await
    }

    /// Parks the retries, waiting or due, from before the endpoint kept its chats in order: later events must not
    /// overtake them.
    pub async fn adopt(&self) -> anyhow::Result<()> {
        for state in ["waiting", "due"] {
            let subjects = self.subjects(&subject::live_retries(state, &self.endpoint)).await?;
            for_each(subjects, |subject| self.adopt_one(subject)).await?;
        }
        Ok(())
    }

    /// The parked events of another stream, or of a version of Kurir that did not name the stream. Those that the present
    /// stream holds are parked again under its name; the others are given back, to be given up.
    pub async fn adopt_strays(&self) -> anyhow::Result<Vec<StrayEntry>> {
        let mut lost = Vec::new();
        for subject in self.subjects(&subject::parked_retries(&self.endpoint)).await? {
            let Some((sequence, chat)) = subject::parse_retry(&subject)
                .filter(|parsed| parsed.run != self.run)
                .and_then(|parsed| Some((parsed.sequence, parsed.chat.parse().ok()?)))
            else {
                continue;
            };
            let Some(entry) = self.read_subject(&subject).await? else { continue };
            if self.read_event(sequence, &entry).await?.is_some() {
                self.store(sequence, chat, &entry).await?;
                self.purge(subject).await?;
            } else {
                lost.push(StrayEntry { subject, sequence, entry });
            }
        }
        Ok(lost)
    }

    /// Removes an event of another stream.
    pub async fn remove_stray(&self, stray: &StrayEntry) -> anyhow::Result<()> {
        self.purge(stray.subject.clone()).await
    }

    async fn adopt_one(&self, subject: String) -> anyhow::Result<()> {
        let Some(sequence) = subject::parse_retry(&subject).map(|parsed| parsed.sequence) else { return Ok(()) };
        let Some(entry) = self.read_subject(&subject).await? else { return Ok(()) };
        // The usual retries give up an event that is gone.
        let Some(event) = self.read_event(sequence, &entry).await? else { return Ok(()) };
        let chat = ChatToken::from_event(&session_of(&event.subject), &event.payload);
        self.store(sequence, chat, &entry).await?;
        self.purge(subject).await
    }

    /// The inverse of [`adopt`](Self::adopt): the endpoint does not keep its chats in order any more, and all parked
    /// events become due.
    pub async fn release(&self) -> anyhow::Result<()> {
        let subjects = self.subjects(&subject::parked_retries(&self.endpoint)).await?;
        for_each(subjects, |subject| self.release_one(subject)).await
    }

    async fn release_one(&self, subject: String) -> anyhow::Result<()> {
        let Some(sequence) = subject::parse_retry(&subject).map(|parsed| parsed.sequence) else { return Ok(()) };
        let Some(entry) = self.read_subject(&subject).await? else { return Ok(()) };
        let mut headers = entry.headers();
        // Every dispatcher may release the same event. The id lets NATS store one copy.
        headers.insert(header::EVENT_ID, format!("released {} {sequence} {}", self.endpoint, entry.attempt));
        let due = RetrySubject { endpoint: &self.endpoint, chat: RetryScope::NO_CHAT, run: LIVE_RUN, sequence }.due();
        let message = OutgoingMessage { subject: due, headers, payload: Bytes::new() };
        self.publish(&message).await?;
        self.purge(subject).await
    }

    fn subject(&self, sequence: u64, chat: ChatToken) -> String {
        RetrySubject { endpoint: &self.endpoint, chat: &chat.to_string(), run: &self.run, sequence }.parked()
    }

    async fn subjects(&self, filter: &str) -> anyhow::Result<Vec<String>> {
        let subjects = self.retries.info_with_subjects(filter).await.context("failed to read RETRIES")?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await.context("failed to read RETRIES")?;
        Ok(subjects.into_iter().map(|(subject, _)| subject).collect())
    }

    async fn read_subject(&self, subject: &str) -> anyhow::Result<Option<ParkedEntry>> {
        match self.retries.direct_get_last_for_subject(subject).await {
            // Only a foreign publisher's message is unreadable. It counts as absent.
            Ok(message) => Ok(parse_entry(&message)),
            // A replica may lag behind, and an absent event counts as settled. So the leader is asked.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                match self.retries.get_last_raw_message_by_subject(subject).await {
                    Ok(message) => Ok(parse_entry(&message)),
                    Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                    Err(error) => Err(error).context("failed to read RETRIES"),
                }
            }
            Err(error) => Err(error).context("failed to read RETRIES"),
        }
    }

    async fn publish(&self, message: &OutgoingMessage) -> anyhow::Result<()> {
        let stored = self.broker.publish_until_stored(message, Instant::now() + STORE_TIMEOUT).await;
        stored.with_context(|| format!("failed to store {}", message.subject))?;
        Ok(())
    }

    async fn purge(&self, subject: String) -> anyhow::Result<()> {
        self.retries.purge().filter(subject).await.context("failed to remove what was parked")?;
        Ok(())
    }
}

async fn for_each<F>(subjects: Vec<String>, to: impl Fn(String) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    futures::stream::iter(subjects).map(Ok).try_for_each_concurrent(MAX_CONCURRENT, to).await
}

/// Parses a parked event, a scheduled retry, or a retry that is due.
fn parse_entry(message: &StreamMessage) -> Option<ParkedEntry> {
    let text = |name| message.headers.get(name).map(async_nats::HeaderValue::as_str);
    let due = text(header::DUE).or_else(|| text(header::SCHEDULE)?.strip_prefix("@at "));
    Some(ParkedEntry {
        event_id: EventId::from_header(text(header::KURIR_EVENT_ID)?),
        event_subject: text(header::EVENT_SUBJECT).unwrap_or_default().to_owned(),
        attempt: text(header::ATTEMPT)?.parse().ok()?,
        due: due.and_then(clock::parse).unwrap_or_else(OffsetDateTime::now_utc),
    })
}

/// The endpoints that have parked events.
pub async fn list_endpoints(broker: &Broker) -> anyhow::Result<Vec<EndpointId>> {
    let parked = ParkedEvents::open(broker.clone(), EndpointId::default()).await?;
    let subjects = parked.subjects(subject::ALL_PARKED_RETRIES).await?;
    let found: HashSet<EndpointId> = subjects.iter().filter_map(|parked| subject::endpoint_of_retry(parked)).collect();
    Ok(found.into_iter().collect())
}
