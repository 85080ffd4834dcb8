//! What of an endpoint's chats waits in RETRIES: one message for each event, replaced at each change. No consumer takes
//! it; who holds the endpoint keeps the time.

use crate::delivery::{Deliverer, Entry, StoreMessage, session_of, store};
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
use kurir_chassis::broker::Broker;
use kurir_contract::{
    chat::ChatToken,
    clock,
    endpoint::EndpointId,
    event::EventId,
    header, stream,
    subject::{self, RetrySubject},
};
use std::{collections::HashSet, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;

/// Of a subject: no replay.
const LIVE: &str = "live";
/// Of an endpoint that does not keep its chats in order.
const NO_CHAT: &str = "-";
/// For how long one is tried to be stored; then whoever holds the endpoint begins anew.
const STORE_WITHIN: Duration = Duration::from_secs(30);
/// Messages that are moved at the same time.
const AT_ONCE: usize = 32;

#[derive(Clone)]
pub struct Shelf {
    broker: Broker,
    retries: Stream<()>,
    endpoint: EndpointId,
}

impl Shelf {
    pub async fn open(broker: Broker, endpoint: EndpointId) -> anyhow::Result<Self> {
        let retries = broker.jetstream.get_stream_no_info(stream::RETRIES).await.context("failed to name a stream")?;
        Ok(Self { broker, retries, endpoint })
    }

    /// Replaces what was stored of this event.
    pub async fn put(&self, sequence: u64, chat: ChatToken, entry: &Entry) -> anyhow::Result<()> {
        let mut headers = headers(entry);
        headers.insert(header::DUE, clock::iso(entry.due));
        headers.insert(header::ROLLUP, "sub");
        // The payload stays in EVENTS.
        let message = StoreMessage { subject: self.subject(sequence, chat), headers, payload: Bytes::new() };
        store(&self.broker, &message, Instant::now() + STORE_WITHIN).await
    }

    pub async fn get(&self, sequence: u64, chat: ChatToken) -> anyhow::Result<Option<Entry>> {
        self.read(&self.subject(sequence, chat)).await
    }

    pub async fn remove(&self, sequence: u64, chat: ChatToken) -> anyhow::Result<()> {
        self.purge(self.subject(sequence, chat)).await
    }

    /// All that is parked.
    pub async fn list(&self) -> anyhow::Result<Vec<(u64, ChatToken)>> {
        let subjects = self.subjects(&subject::parked_retries(&self.endpoint)).await?;
        let read = |subject: &String| {
            let parsed = subject::parse_retry(subject)?;
            Some((parsed.sequence, parsed.chat.parse().ok()?))
        };
        Ok(subjects.iter().filter_map(read).collect())
    }

    pub async fn is_empty(&self) -> anyhow::Result<bool> {
        match self.retries.direct_get_next_for_subject(subject::parked_retries(&self.endpoint), Some(1)).await {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(true),
            Err(error) => Err(error).context("failed to look into RETRIES"),
        }
    }

    /// Parks what waits or is due from before the endpoint kept its chats in order: what comes now must not overtake it.
    pub async fn adopt(&self, deliverer: &Deliverer) -> anyhow::Result<()> {
        for state in ["waiting", "due"] {
            let subjects = self.subjects(&subject::live_retries(state, &self.endpoint)).await?;
            each(subjects, |subject| self.adopt_one(deliverer, subject)).await?;
        }
        Ok(())
    }

    async fn adopt_one(&self, deliverer: &Deliverer, subject: String) -> anyhow::Result<()> {
        let Some(sequence) = subject::parse_retry(&subject).map(|parsed| parsed.sequence) else { return Ok(()) };
        let Some(entry) = self.read(&subject).await? else { return Ok(()) };
        // One whose event is gone is given up by the usual way of retries.
        let Some(event) = deliverer.event_of(sequence, &entry).await? else { return Ok(()) };
        let chat = ChatToken::from_event(&session_of(&event.subject), &event.payload);
        self.put(sequence, chat, &entry).await?;
        self.purge(subject).await
    }

    /// The inverse: the endpoint no longer keeps its chats in order, and what is parked is due.
    pub async fn release(&self) -> anyhow::Result<()> {
        let subjects = self.subjects(&subject::parked_retries(&self.endpoint)).await?;
        each(subjects, |subject| self.release_one(subject)).await
    }

    async fn release_one(&self, subject: String) -> anyhow::Result<()> {
        let Some(sequence) = subject::parse_retry(&subject).map(|parsed| parsed.sequence) else { return Ok(()) };
        let Some(entry) = self.read(&subject).await? else { return Ok(()) };
        let mut headers = headers(&entry);
        // Every dispatcher may do so.
        headers.insert(header::EVENT_ID, format!("released {} {sequence} {}", self.endpoint, entry.attempt));
        let due = RetrySubject { endpoint: &self.endpoint, chat: NO_CHAT, run: LIVE, sequence }.due();
        let message = StoreMessage { subject: due, headers, payload: Bytes::new() };
        store(&self.broker, &message, Instant::now() + STORE_WITHIN).await?;
        self.purge(subject).await
    }

    fn subject(&self, sequence: u64, chat: ChatToken) -> String {
        RetrySubject { endpoint: &self.endpoint, chat: &chat.to_string(), run: LIVE, sequence }.parked()
    }

    async fn subjects(&self, filter: &str) -> anyhow::Result<Vec<String>> {
        let subjects = self.retries.info_with_subjects(filter).await.context("failed to look into RETRIES")?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await.context("failed to look into RETRIES")?;
        Ok(subjects.into_iter().map(|(subject, _)| subject).collect())
    }

    async fn read(&self, subject: &str) -> anyhow::Result<Option<Entry>> {
        match self.retries.direct_get_last_for_subject(subject).await {
            // Only a foreign publisher can have put another there; it is as if it were not there.
            Ok(message) => Ok(read(&message)),
            // A replica may lag behind: that it is not there is the leader's to say, since it is taken for settled then.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                match self.retries.get_last_raw_message_by_subject(subject).await {
                    Ok(message) => Ok(read(&message)),
                    Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                    Err(error) => Err(error).context("failed to look into RETRIES"),
                }
            }
            Err(error) => Err(error).context("failed to look into RETRIES"),
        }
    }

    async fn purge(&self, subject: String) -> anyhow::Result<()> {
        self.retries.purge().filter(subject).await.context("failed to remove what was parked")?;
        Ok(())
    }
}

async fn each<F>(subjects: Vec<String>, to: impl Fn(String) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    futures::stream::iter(subjects).map(Ok).try_for_each_concurrent(AT_ONCE, to).await
}

fn headers(entry: &Entry) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::KURIR_EVENT_ID, entry.event_id.as_str());
    headers.insert(header::EVENT_SUBJECT, entry.event_subject.as_str());
    headers.insert(header::ATTEMPT, entry.attempt.to_string());
    headers
}

/// One that is parked, or a schedule, or a retry that is due.
fn read(message: &StreamMessage) -> Option<Entry> {
    let text = |name| message.headers.get(name).map(async_nats::HeaderValue::as_str);
    let due = text(header::DUE).or_else(|| text(header::SCHEDULE)?.strip_prefix("@at "));
    Some(Entry {
        event_id: EventId::from_header(text(header::KURIR_EVENT_ID)?),
        event_subject: text(header::EVENT_SUBJECT).unwrap_or_default().to_owned(),
        attempt: text(header::ATTEMPT)?.parse().ok()?,
        due: due.and_then(|due| OffsetDateTime::parse(due, &Rfc3339).ok()).unwrap_or_else(OffsetDateTime::now_utc),
    })
}

/// The endpoints that have something parked.
pub async fn endpoints(broker: &Broker) -> anyhow::Result<Vec<EndpointId>> {
    let shelf = Shelf::open(broker.clone(), EndpointId::default()).await?;
    let subjects = shelf.subjects(subject::ALL_PARKED_RETRIES).await?;
    let found: HashSet<EndpointId> = subjects.iter().filter_map(|parked| subject::endpoint_of_retry(parked)).collect();
    Ok(found.into_iter().collect())
}
