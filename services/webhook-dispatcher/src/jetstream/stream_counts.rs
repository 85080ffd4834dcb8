//! Counts and reads what streams hold. Nothing is kept here.
//!
//! A temporary consumer tells where it starts, and how many messages match its filters.

use anyhow::Context as _;
use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
    stream::Stream,
};
use futures::{StreamExt as _, TryStreamExt as _};
use kurir_chassis::broker::Broker;
use std::{ops::ControlFlow, time::Duration};
use tokio::time::timeout;

/// The messages of a stream from a position on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCount {
    /// The sequence of the first message.
    pub from: u64,
    /// How many messages match.
    pub count: u64,
}

/// NATS removes an unused consumer after this time: its dispatcher may have died.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// How long NATS may take to send a message that it has.
const COMES_WITHIN: Duration = Duration::from_secs(10);
/// Messages that are read at once.
const BATCH: usize = 200;
/// Tries to count while messages are being stored.
const TRIES: u32 = 5;

/// Counts the messages from `start` on whose subjects match one of the `filters`.
///
/// # Errors
/// If NATS is away or refuses.
pub async fn count_from(
    broker: &Broker,
    stream: &str,
    filters: &[String],
    start: DeliverPolicy,
) -> anyhow::Result<StreamCount> {
    let consumer = create_reader(broker, stream, filters, start).await?;
    let info = consumer.cached_info();
    let counted = StreamCount { from: info.delivered.stream_sequence + 1, count: info.num_pending };
    // NATS would remove the consumer later.
    let _ = broker.jetstream.delete_consumer_from_stream(&info.name, stream).await;
    Ok(counted)
}

/// Counts the messages from `start` to the sequence `last`.
///
/// # Errors
/// If NATS is away or refuses.
pub async fn count_between(
    broker: &Broker,
    stream: &str,
    filters: &[String],
    start: DeliverPolicy,
    last: u64,
) -> anyhow::Result<u64> {
    let mut after = count_after(broker, stream, filters, last).await?;
    let mut tries = TRIES;
    loop {
        let all = count_from(broker, stream, filters, start).await?.count;
        let again = count_after(broker, stream, filters, last).await?;
        tries -= 1;
        // Both counts are the same, so nothing was stored in between, and the figures are of one moment.
        if again == after || tries == 0 {
            return Ok(all.saturating_sub(again));
        }
        after = again;
    }
}

/// Counts the messages after the sequence `last`.
///
/// # Errors
/// If NATS is away or refuses.
pub async fn count_after(broker: &Broker, stream: &str, filters: &[String], last: u64) -> anyhow::Result<u64> {
    let start = DeliverPolicy::ByStartSequence { start_sequence: last.saturating_add(1) };
    Ok(count_from(broker, stream, filters, start).await?.count)
}

/// Creates a temporary consumer that reads through a stream and settles nothing.
///
/// # Errors
/// If NATS is away or refuses.
pub async fn create_reader(
    broker: &Broker,
    stream: &str,
    filters: &[String],
    start: DeliverPolicy,
) -> anyhow::Result<Consumer<pull::Config>> {
    let config = pull::Config {
        deliver_policy: start,
        ack_policy: AckPolicy::None,
        filter_subjects: filters.to_vec(),
        inactive_threshold: GONE_AFTER,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    broker
        .jetstream
        .create_consumer_on_stream(config, stream)
        .await
        .with_context(|| format!("failed to create a reader of {stream}"))
}

/// Reads the messages that a stream has now, from `start` on. `each` says when enough was read.
///
/// The end is where NATS has nothing more to give: after a crash it may count more than there is, and the rest never comes.
///
/// # Errors
/// If NATS is away or refuses, if a message did not arrive, or of `each`.
pub async fn read_stored(
    broker: &Broker,
    stream: &str,
    filter: String,
    start: DeliverPolicy,
    mut each: impl FnMut(&Message) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let failed = || format!("failed to read {stream}");
    let mut reader = create_reader(broker, stream, &[filter], start).await?;
    let (name, count) = (reader.cached_info().name.clone(), reader.cached_info().num_pending);
    let mut read = 0;
    'all: while read < count {
        let before = read;
        let mut messages = reader.fetch().max_messages(BATCH).messages().await.with_context(failed)?;
        // The client waits without end for what was lost with a connection.
        while let Some(message) = timeout(COMES_WITHIN, messages.next()).await.with_context(failed)? {
            let message = message.map_err(anyhow::Error::from_boxed).with_context(failed)?;
            read += 1;
            let arrived = message.info().map_err(anyhow::Error::from_boxed).with_context(failed)?.consumer_sequence;
            anyhow::ensure!(arrived == read, "a message of {stream} did not arrive");
            // What is stored from now on is not asked for.
            if each(&message)?.is_break() || read >= count {
                break 'all;
            }
        }
        if read == before {
            let sent = reader.info().await.with_context(failed)?.delivered.consumer_sequence;
            anyhow::ensure!(sent == read, "a message of {stream} did not arrive");
            break;
        }
    }
    // NATS would remove the consumer later.
    let _ = broker.jetstream.delete_consumer_from_stream(&name, stream).await;
    Ok(())
}

/// The subjects in a stream that match the filter, each once.
///
/// # Errors
/// If NATS is away.
pub async fn list_subjects(broker: &Broker, stream: &str, filter: &str) -> anyhow::Result<Vec<String>> {
    let named: Stream<()> = broker.jetstream.get_stream_no_info(stream).await.context("failed to open a stream")?;
    let failed = || format!("failed to list the subjects of {stream}");
    let found = named.info_with_subjects(filter).await.with_context(failed)?;
    found.map_ok(|(subject, _)| subject).try_collect().await.with_context(failed)
}
