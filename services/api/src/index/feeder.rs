//! Reads the streams into the index, off the path of delivery.
//!
//! The place in a stream is written with the rows, so the consumer needs no acknowledgement and leaves nothing in NATS when
//! the API is gone. A stream that was deleted and made again, or whose messages are gone, is read from its beginning.

use super::{
    EventIndex,
    erasure::Erasures,
    event_facts::{StoredEvent, read_event},
    position::{Position, forget_stream, read_position, write_position},
    write_audit::write_entry,
    write_deliveries::{read_attempts, write_attempts, write_dead_letter},
    write_events::{TextRule, write_events},
};
use crate::stream_place::ReadMessage;
use anyhow::Context as _;
use async_nats::jetstream::{
    Message,
    consumer::{DeliverPolicy, pull::OrderedConfig},
    stream::Stream,
};
use futures::StreamExt as _;
use kurir_chassis::shutdown::CancellationToken;
use kurir_contract::{
    clock, header,
    stream::{AUDIT, DEAD_LETTERS, DELIVERIES, EVENTS},
};
use rusqlite::Connection;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::interval;

/// Messages of one transaction. Larger ones are not faster, and readers would wait for memory.
const BATCH: usize = 2_000;
/// Between two looks at the stream: one that was replaced says nothing by itself.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After an error, and while the broker is away.
const PAUSE: Duration = Duration::from_secs(1);

/// A stream that the index reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Events,
    Deliveries,
    DeadLetters,
    Audit,
}

impl Source {
    pub const ALL: [Self; 4] = [Self::Events, Self::Deliveries, Self::DeadLetters, Self::Audit];

    pub fn stream(self) -> &'static str {
        match self {
            Self::Events => EVENTS,
            Self::Deliveries => DELIVERIES,
            Self::DeadLetters => DEAD_LETTERS,
            Self::Audit => AUDIT,
        }
    }
}

/// Reads a stream until the shutdown.
pub async fn feed(index: EventIndex, source: Source, shutdown: CancellationToken) -> anyhow::Result<()> {
    loop {
        let round = async {
            index.broker.wait_until_ready().await;
            follow(&index, source).await
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            ended = round => {
                if let Err(error) = ended && index.broker.is_connected() {
                    tracing::warn!("failed to read {} into the index, which is tried again: {error:#}", source.stream());
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Reads until the consumer ends or the index is to be made again.
async fn follow(index: &EventIndex, source: Source) -> anyhow::Result<()> {
    let mut rebuilds = index.rebuilds.subscribe();
    let name = source.stream();
    let stream = index.broker.jetstream.get_stream(name).await.context("failed to open the stream")?;
    let info = stream.cached_info();
    let created = info.created.to_string();
    let known = index.read(move |connection| read_position(connection, name)).await?;
    let known = match known {
        Some(known) if is_present(&known, &stream).await? => Some(known),
        _ => None,
    };
    let deliver_policy = match &known {
        Some(known) => DeliverPolicy::ByStartSequence { start_sequence: known.sequence.saturating_add(1).max(1) },
        None => {
            index.write(move |connection| forget_stream(connection, name)).await?;
            DeliverPolicy::ByStartTime { start_time: clock::now() - index.retention }
        }
    };
    let config = OrderedConfig { deliver_policy, ..OrderedConfig::default() };
    let consumer = stream.create_consumer(config).await.context("failed to create the consumer")?;
    let messages = consumer.messages().await.context("failed to read the stream")?;
    let mut batches = messages.ready_chunks(BATCH);
    let mut looks = interval(LOOK_EVERY);
    loop {
        let batch = tokio::select! {
            batch = batches.next() => batch.context("the consumer ended")?,
            _ = looks.tick() => {
                let stream = index.broker.jetstream.get_stream(name).await.context("failed to open the stream")?;
                let known = index.read(move |connection| read_position(connection, name)).await?;
                match known {
                    // The client's consumer finds its way into the other stream, and would begin there behind what it read.
                    Some(known) if !is_present(&known, &stream).await? => return Ok(()),
                    _ => continue,
                }
            }
            changed = rebuilds.changed() => {
                changed.context("the index ended")?;
                index.write(move |connection| forget_stream(connection, name)).await?;
                return Ok(());
            }
        };
        let (messages, error) = split_at_error(batch);
        if !messages.is_empty() {
            write(index, source, &created, messages).await?;
        }
        if let Some(error) = error {
            return Err(error);
        }
    }
}

/// Whether the stream is the one in which this place was read.
async fn is_present(known: &Position, stream: &Stream) -> anyhow::Result<bool> {
    let info = stream.cached_info();
    if known.created != info.created.to_string() || known.sequence > info.state.last_sequence {
        return Ok(false);
    }
    let stored_at = known.stored_at.filter(|at| *at > 0);
    let stored_at = stored_at.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(at.into()).ok());
    match stored_at {
        Some(stored_at) => ReadMessage { sequence: known.sequence, stored_at }.was_in(stream).await,
        None => Ok(true),
    }
}

/// The messages before the first error.
fn split_at_error<E: std::error::Error + Send + Sync + 'static>(
    batch: Vec<Result<Message, E>>,
) -> (Vec<Message>, Option<anyhow::Error>) {
    let mut messages = Vec::with_capacity(batch.len());
    for message in batch {
        match message {
            Ok(message) => messages.push(message),
            Err(error) => return (messages, Some(error.into())),
        }
    }
    (messages, None)
}

async fn write(index: &EventIndex, source: Source, created: &str, messages: Vec<Message>) -> anyhow::Result<()> {
    let (created, rule) = (created.to_owned(), index.text_rule);
    let erasures = index.erasures.read().await.clone();
    let written = index.write(move |connection| {
        let last = write_messages(connection, source, &messages, rule, &erasures)?;
        write_position(connection, source.stream(), &Position { created, ..last })
    });
    Ok(written.await?)
}

/// Gives the place of the last message, without its stream.
fn write_messages(
    connection: &Connection,
    source: Source,
    messages: &[Message],
    rule: TextRule,
    erasures: &Erasures,
) -> rusqlite::Result<Position> {
    let mut last = Position::default();
    let mut events = Vec::new();
    for message in messages {
        // Every message of a consumer says where it is from.
        let Ok(info) = message.info() else { continue };
        let sequence = info.stream_sequence;
        last.sequence = sequence;
        last.stored_at = i64::try_from(info.published.unix_timestamp_nanos()).ok();
        match source {
            Source::Events => {
                let headers = message.headers.as_ref();
                let header = |name| headers.and_then(|headers| headers.get(name)).map(async_nats::HeaderValue::as_str);
                events.extend(read_event(&StoredEvent {
                    sequence,
                    subject: &message.subject,
                    id: header(header::EVENT_ID),
                    is_synthetic: header(header::SYNTHETIC).is_some(),
                    stored_at: (info.published.unix_timestamp_nanos() / 1_000_000) as i64,
                    payload: &message.payload,
                }));
            }
            Source::Deliveries => write_attempts(connection, &read_attempts(sequence, &message.payload))?,
            Source::DeadLetters => {
                if let Ok(letter) = serde_json::from_slice(&message.payload) {
                    write_dead_letter(connection, sequence, &letter)?;
                }
            }
            Source::Audit => {
                if let Ok(entry) = serde_json::from_slice(&message.payload) {
                    write_entry(connection, sequence, &entry)?;
                }
            }
        }
    }
    write_events(connection, &events, rule, erasures)?;
    Ok(last)
}
