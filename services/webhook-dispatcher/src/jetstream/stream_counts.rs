//! Counts messages in streams. NATS counts; nothing is read, and nothing is kept here.
//!
//! A temporary consumer tells where it starts, and how many messages match its filters.

use anyhow::Context as _;
use async_nats::jetstream::{
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
    stream::Stream,
};
use futures::TryStreamExt as _;
use kurir_chassis::broker::Broker;
use std::time::Duration;

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
