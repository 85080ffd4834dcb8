//! Where a replay's events come from: a durable consumer of its own, which all dispatchers that feed it share.

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
use kurir_contract::{delivery::DeadLetter, event::EventId, header, stream, subject, webhook::ReplaySelection};
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What a feeder that died had taken goes to another one after so long. Moving a message takes milliseconds.
const ACK_WAIT: Duration = Duration::from_secs(10);

/// Far above what a dozen dispatchers move at once.
const MAX_ACK_PENDING: i64 = 20_000;

#[derive(Clone, Debug, PartialEq)]
pub struct ReplaySource {
    pub stream: &'static str,
    filters: Vec<String>,
    pub start: DeliverPolicy,
}

impl ReplaySource {
    /// # Errors
    /// If the time is none.
    pub fn of(of: &ReplaySelection, endpoint: &Endpoint) -> anyhow::Result<Self> {
        let letters =
            |start| Self { stream: stream::DEAD_LETTERS, filters: vec![subject::dead_letters(&endpoint.id)], start };
        Ok(match of {
            ReplaySelection::Since { since } => Self {
                stream: stream::EVENTS,
                filters: endpoint.subjects.clone(),
                start: DeliverPolicy::ByStartTime { start_time: OffsetDateTime::parse(since, &Rfc3339)? },
            },
            ReplaySelection::DeadLetters => letters(DeliverPolicy::All),
            // The one after it is not part of it: what it is about ends with this sequence, too.
            ReplaySelection::DeadLetter { sequence } => {
                letters(DeliverPolicy::ByStartSequence { start_sequence: (*sequence).max(1) })
            }
        })
    }

    /// How many there are, up to the sequence `last`.
    pub async fn total(&self, broker: &Broker, last: u64) -> anyhow::Result<u64> {
        stream_counts::between(broker, self.stream, &self.filters, self.start, last).await
    }

    /// How many were not moved yet. `id`: the replay's.
    pub async fn left(&self, broker: &Broker, id: &str, last: u64) -> anyhow::Result<u64> {
        // Asked first: an event that is stored in between makes more of it, never less, so nothing is left behind.
        let after = stream_counts::beyond(broker, self.stream, &self.filters, last).await?;
        let stream = broker.jetstream.get_stream_no_info(self.stream).await.context("failed to name a stream")?;
        match stream.consumer_info(consumer_name(id)).await {
            Ok(info) => Ok((info.num_pending + info.num_ack_pending as u64).saturating_sub(after)),
            // Not made yet.
            Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => self.total(broker, last).await,
            Err(error) => Err(error).context("failed to look at the consumer of a replay"),
        }
    }

    /// Makes the consumer, or finds the one that is there.
    pub async fn open(&self, broker: &Broker, id: &str) -> anyhow::Result<Consumer<pull::Config>> {
        let config = pull::Config {
            durable_name: Some(consumer_name(id)),
            deliver_policy: self.start,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            filter_subjects: self.filters.clone(),
            // Of an event, the payload stays where it is.
            headers_only: self.stream == stream::EVENTS,
            ..pull::Config::default()
        };
        broker
            .jetstream
            .create_consumer_on_stream(config, self.stream)
            .await
            .with_context(|| format!("failed to make the consumer of a replay on {}", self.stream))
    }

    /// Removes the consumer, if it is there.
    pub async fn close(&self, broker: &Broker, id: &str) {
        close(broker, self.stream, id).await;
    }

    /// What one of its messages asks for.
    pub fn read(&self, message: &Message, sequence: u64) -> anyhow::Result<ReplayEntry> {
        let header =
            |name| message.headers.as_ref().and_then(|headers| headers.get(name)).map(async_nats::HeaderValue::as_str);
        if self.stream == stream::EVENTS {
            let event =
                StoredEvent::new(message.subject.clone(), sequence, message.headers.clone(), bytes::Bytes::new());
            return Ok(ReplayEntry {
                event_id: event.id,
                event_subject: event.subject.to_string(),
                event_sequence: sequence,
            });
        }
        let letter: DeadLetter = serde_json::from_slice(&message.payload).context("a dead letter cannot be read")?;
        // Letters of the first version do not say it.
        let event_subject = header(header::EVENT_SUBJECT).map_or_else(
            || subject::event(&kurir_contract::session::SessionId::default(), &letter.event),
            ToOwned::to_owned,
        );
        let event_id: EventId = letter.event_id;
        Ok(ReplayEntry { event_id, event_subject, event_sequence: letter.sequence })
    }
}

/// Removes a replay's consumer wherever it is.
pub async fn close_everywhere(broker: &Broker, id: &str) {
    for stream in [stream::EVENTS, stream::DEAD_LETTERS] {
        close(broker, stream, id).await;
    }
}

async fn close(broker: &Broker, stream: &str, id: &str) {
    // Another dispatcher may have done it.
    let _ = broker.jetstream.delete_consumer_from_stream(consumer_name(id), stream).await;
}

fn consumer_name(id: &str) -> String {
    format!("replay-{id}")
}
