//! How many messages the broker holds: its own figures, asked for and never kept.
//!
//! A consumer that is made for the question tells from where on, and how many match its filters; nothing is read.

use anyhow::Context as _;
use async_nats::jetstream::{
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
    stream::Stream,
};
use futures::TryStreamExt as _;
use kurir_chassis::broker::Broker;
use std::time::Duration;

/// What a stream holds from somewhere on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCount {
    /// The sequence at which it begins.
    pub from: u64,
    /// Messages with one of the subjects.
    pub count: u64,
}

/// A consumer that nobody uses any more goes by itself: whoever made it may have died.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// Tries to count while other messages are being stored.
const TRIES: u32 = 5;

/// How many messages there are from `start` on, whose subject one of the `filters` holds.
///
/// # Errors
/// If the broker is away or refuses.
pub async fn held(
    broker: &Broker,
    stream: &str,
    filters: &[String],
    start: DeliverPolicy,
) -> anyhow::Result<StreamCount> {
    let consumer = passing(broker, stream, filters, start).await?;
    let info = consumer.cached_info();
    let held = StreamCount { from: info.delivered.stream_sequence + 1, count: info.num_pending };
    // It would go by itself.
    let _ = broker.jetstream.delete_consumer_from_stream(&info.name, stream).await;
    Ok(held)
}

/// How many there are from `start` to the sequence `last`.
///
/// # Errors
/// If the broker is away or refuses.
pub async fn between(
    broker: &Broker,
    stream: &str,
    filters: &[String],
    start: DeliverPolicy,
    last: u64,
) -> anyhow::Result<u64> {
    let mut after = beyond(broker, stream, filters, last).await?;
    let mut tries = TRIES;
    loop {
        let all = held(broker, stream, filters, start).await?.count;
        let again = beyond(broker, stream, filters, last).await?;
        tries -= 1;
        // The same before and after: nothing was stored in between, so both figures are of one moment.
        if again == after || tries == 0 {
            return Ok(all.saturating_sub(again));
        }
        after = again;
    }
}

/// How many there are after the sequence `last`.
///
/// # Errors
/// If the broker is away or refuses.
pub async fn beyond(broker: &Broker, stream: &str, filters: &[String], last: u64) -> anyhow::Result<u64> {
    let start = DeliverPolicy::ByStartSequence { start_sequence: last.saturating_add(1) };
    Ok(held(broker, stream, filters, start).await?.count)
}

/// A consumer for one look through a stream: it settles nothing and is kept nowhere.
///
/// # Errors
/// If the broker is away or refuses.
pub async fn passing(
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
        .with_context(|| format!("failed to look through {stream}"))
}

/// The subjects that a stream holds and this filter admits, each once.
///
/// # Errors
/// If the broker is away.
pub async fn subjects(broker: &Broker, stream: &str, filter: &str) -> anyhow::Result<Vec<String>> {
    let named: Stream<()> = broker.jetstream.get_stream_no_info(stream).await.context("failed to name a stream")?;
    let failed = || format!("failed to list the subjects of {stream}");
    let found = named.info_with_subjects(filter).await.with_context(failed)?;
    found.map_ok(|(subject, _)| subject).try_collect().await.with_context(failed)
}
