//! Where a replay's events come from: a durable consumer for the replay, which all dispatchers share.

use crate::{
    endpoint::Endpoint,
    event::StoredEvent,
    jetstream::{retry_queue::ReplayEntry, stream_counts},
};
use anyhow::Context as _;
use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
    context::ConsumerInfoErrorKind,
};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    clock, delivery::DeadLetter, endpoint::EventOrdering, header, stream, subject, webhook::ReplaySelection,
};
use std::time::Duration;

/// After this time, what a dead dispatcher had taken goes to another one. Copying a message takes milliseconds.
const ACK_WAIT: Duration = Duration::from_secs(10);

/// NATS removes the reader of a dispatcher that died after this time.
const READER_GONE_AFTER: Duration = Duration::from_secs(60);

/// Far above what a dozen dispatchers copy at once.
const MAX_ACK_PENDING: i64 = 20_000;

#[derive(Clone, Debug, PartialEq)]
pub struct ReplaySource {
    pub stream: &'static str,
    filters: Vec<String>,
    pub start: DeliverPolicy,
}

impl ReplaySource {
    /// The source of a replay.
    ///
    /// # Errors
    /// If the stored time is no time.
    pub fn new(of: &ReplaySelection, endpoint: &Endpoint) -> anyhow::Result<Self> {
        let letters =
            |start| Self { stream: stream::DEAD_LETTERS, filters: vec![subject::dead_letters(&endpoint.id)], start };
        Ok(match of {
            ReplaySelection::Since { since } => Self {
                stream: stream::EVENTS,
                filters: endpoint.subjects.clone(),
                start: DeliverPolicy::ByStartTime {
                    start_time: clock::parse(since).context("failed to read the time of a replay")?,
                },
            },
            ReplaySelection::DeadLetters => letters(DeliverPolicy::All),
            // The letter after it is not part of the replay, which also ends with this sequence.
            ReplaySelection::DeadLetter { sequence } => {
                letters(DeliverPolicy::ByStartSequence { start_sequence: (*sequence).max(1) })
            }
            // `selected` copies them before the replay is stored, so nothing is read from here.
            ReplaySelection::Events { .. } => {
                Self { stream: stream::EVENTS, filters: endpoint.subjects.clone(), start: DeliverPolicy::New }
            }
        })
    }

    /// Counts the messages up to the sequence `last`.
    pub async fn count_total(&self, broker: &Broker, last: u64) -> anyhow::Result<u64> {
        stream_counts::count_between(broker, self.stream, &self.filters, self.start, last).await
    }

    /// Counts the messages that were not copied yet. `id`: the replay's.
    pub async fn count_uncopied(&self, broker: &Broker, id: &str, last: u64) -> anyhow::Result<u64> {
        // Counted first: an event that is stored in between makes the result larger, never smaller, so nothing is left
        // behind.
        let after = stream_counts::count_after(broker, self.stream, &self.filters, last).await?;
        let stream = broker.jetstream.get_stream_no_info(self.stream).await.context("failed to open a stream")?;
        match stream.consumer_info(consumer_name(id)).await {
            Ok(info) => Ok((info.num_pending + info.num_ack_pending as u64).saturating_sub(after)),
            // The consumer does not exist yet.
            Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => {
                self.count_total(broker, last).await
            }
            Err(error) => Err(error).context("failed to read the consumer of a replay"),
        }
    }

    /// Creates the consumer, or finds the existing one.
    pub async fn create_consumer(&self, broker: &Broker, id: &str) -> anyhow::Result<Consumer<pull::Config>> {
        let config = pull::Config {
            durable_name: Some(consumer_name(id)),
            deliver_policy: self.start,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            filter_subjects: self.filters.clone(),
            // An event's payload stays in EVENTS.
            headers_only: self.stream == stream::EVENTS,
            ..pull::Config::default()
        };
        broker
            .jetstream
            .create_consumer_on_stream(config, self.stream)
            .await
            .with_context(|| format!("failed to create the consumer of a replay on {}", self.stream))
    }

    /// The same source behind a sequence that was copied; 0: nothing was.
    #[must_use]
    pub fn behind(self, copied_through: u64) -> Self {
        match copied_through {
            0 => self,
            through => Self { start: DeliverPolicy::ByStartSequence { start_sequence: through + 1 }, ..self },
        }
    }

    /// Creates a consumer that one dispatcher reads. It settles nothing, and takes the place of an earlier one.
    pub async fn create_reader(
        &self,
        broker: &Broker,
        id: &str,
        ordering: EventOrdering,
    ) -> anyhow::Result<Consumer<pull::Config>> {
        self.remove_consumer(broker, id).await;
        let config = pull::Config {
            name: Some(consumer_name(id)),
            deliver_policy: self.start,
            ack_policy: AckPolicy::None,
            filter_subjects: self.filters.clone(),
            // The chat of an event stands in its payload.
            headers_only: ordering == EventOrdering::None,
            inactive_threshold: READER_GONE_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let created = broker.jetstream.create_consumer_on_stream(config, self.stream).await;
        created.with_context(|| format!("failed to create the reader of a replay on {}", self.stream))
    }

    /// Removes the consumer, if it exists.
    pub async fn remove_consumer(&self, broker: &Broker, id: &str) {
        remove_consumer(broker, self.stream, id).await;
    }

    /// The event that a message asks to deliver again.
    pub fn read_entry(&self, message: &Message, sequence: u64) -> anyhow::Result<ReplayEntry> {
        if self.stream == stream::EVENTS {
            let event =
                StoredEvent::new(message.subject.clone(), sequence, message.headers.clone(), bytes::Bytes::new());
            return Ok(ReplayEntry {
                event_id: event.id,
                event_subject: event.subject.to_string(),
                event_sequence: sequence,
            });
        }
        letter_entry(message).map(|(entry, _)| entry)
    }
}

/// The event that a dead letter asks to deliver again, and the letter.
pub fn letter_entry(message: &Message) -> anyhow::Result<(ReplayEntry, DeadLetter)> {
    let letter: DeadLetter = serde_json::from_slice(&message.payload).context("a dead letter is not readable")?;
    let headers = message.headers.as_ref();
    let event_subject = headers.and_then(|headers| headers.get(header::EVENT_SUBJECT)).map_or_else(
        // Dead letters of the first version lack this header.
        || subject::event(&kurir_contract::session::SessionId::default(), &letter.event),
        |subject| subject.as_str().to_owned(),
    );
    let entry = ReplayEntry { event_id: letter.event_id.clone(), event_subject, event_sequence: letter.sequence };
    Ok((entry, letter))
}

/// Removes a replay's consumer from each stream that it can be on.
pub async fn remove_consumers(broker: &Broker, id: &str) {
    for stream in [stream::EVENTS, stream::DEAD_LETTERS] {
        remove_consumer(broker, stream, id).await;
    }
}

async fn remove_consumer(broker: &Broker, stream: &str, id: &str) {
    // Another dispatcher may have removed it.
    let _ = broker.jetstream.delete_consumer_from_stream(consumer_name(id), stream).await;
}

fn consumer_name(id: &str) -> String {
    format!("replay-{id}")
}
