//! Counts what waits: for each endpoint its events and since when the oldest waits, the dead letters, and how full the streams
//! are. For `/metrics`.
//!
//! NATS counts. Each dispatcher asks it, the less often the more endpoints there are, and reports the same figures.

use crate::{
    jetstream::retry_queue::LIVE_RUN,
    metrics::{BacklogMetrics, WaitingEvents},
};
use anyhow::Context as _;
use async_nats::jetstream::{
    consumer::Info,
    stream::{DirectGetErrorKind, Stream},
};
use futures::{StreamExt as _, TryFutureExt as _, TryStreamExt as _, stream};
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::{endpoint::EndpointId, stream as streams, subject};
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

/// The pause between two counts, and what each endpoint adds to it.
const LOOK_EVERY: Duration = Duration::from_secs(15);
const FOR_EACH_ENDPOINT: Duration = Duration::from_millis(10);
/// Questions about single endpoints that NATS answers at the same time.
const QUESTIONS_AT_ONCE: usize = 8;
const STREAMS: [&str; 5] =
    [streams::EVENTS, streams::RETRIES, streams::OUTBOX, streams::DELIVERIES, streams::DEAD_LETTERS];

/// Counting takes at most this share of the time.
const SHARE_OF_TIME: u32 = 20;

/// What an endpoint's consumer says, and what RETRIES holds for it.
#[derive(Clone, Debug, Default)]
struct ConsumerBacklog {
    /// Events that its consumer has not settled.
    unsettled: u64,
    /// They come after this sequence, and match these filters.
    settled_to: u64,
    filters: Vec<String>,
    retries: u64,
    /// The first event in EVENTS that waits in RETRIES, without replays.
    first_retried: Option<u64>,
}

/// Counts until the shutdown.
///
/// # Errors
/// None: while NATS is away, the last figures stand.
pub async fn follow(broker: Broker, metrics: BacklogMetrics, shutdown: CancellationToken) -> anyhow::Result<()> {
    let counting = async {
        broker.wait_until_ready().await;
        loop {
            let begun = Instant::now();
            let endpoints = match count(&broker, &metrics).await {
                Ok(endpoints) => endpoints,
                Err(error) => {
                    tracing::debug!("counting what waits again: {error:#}");
                    0
                }
            };
            let for_endpoints = FOR_EACH_ENDPOINT.saturating_mul(u32::try_from(endpoints).unwrap_or(u32::MAX));
            let pause = (LOOK_EVERY + for_endpoints).max(begun.elapsed() * SHARE_OF_TIME);
            sleep(pause).await;
        }
    };
    tokio::select! {
        never = counting => never,
        () = shutdown.cancelled() => Ok(()),
    }
}

/// Counts once, and says how many endpoints there are.
async fn count(broker: &Broker, metrics: &BacklogMetrics) -> anyhow::Result<usize> {
    let mut backlogs: BTreeMap<EndpointId, ConsumerBacklog> = BTreeMap::new();
    for info in consumers(broker, streams::EVENTS).await? {
        let Some(endpoint) = EndpointId::from_consumer_name(&info.name) else { continue };
        let backlog = backlogs.entry(endpoint).or_default();
        backlog.unsettled = info.num_pending + info.num_ack_pending as u64;
        backlog.settled_to = info.ack_floor.stream_sequence;
        backlog.filters = info.config.filter_subjects;
        backlog.filters.extend(Some(info.config.filter_subject).filter(|filter| !filter.is_empty()));
    }
    let reader = BacklogReader::open(broker).await?;
    reader.count_retries(&mut backlogs).await?;
    let endpoints = backlogs.len();
    // An error is about NATS and not about one endpoint: the last figures of all stand.
    let waiting = stream::iter(backlogs)
        .map(|(endpoint, backlog)| reader.waiting(backlog).map_ok(|waiting| (endpoint, waiting)))
        .buffer_unordered(QUESTIONS_AT_ONCE)
        .try_collect()
        .await?;
    metrics.record_waiting(waiting);
    for name in STREAMS {
        let stream = broker.jetstream.get_stream(name).await.with_context(|| format!("failed to open {name}"))?;
        let info = stream.cached_info();
        metrics.record_stream(name, info.state.bytes, info.config.max_bytes);
        if name == streams::DEAD_LETTERS {
            let oldest = (info.state.messages > 0).then(|| reader.age(info.state.first_timestamp));
            metrics.record_dead_letters(WaitingEvents { count: info.state.messages, oldest });
        }
    }
    Ok(endpoints)
}

async fn consumers(broker: &Broker, name: &str) -> anyhow::Result<Vec<Info>> {
    let stream = broker.jetstream.get_stream_no_info(name).await.context("failed to open a stream")?;
    stream.consumers().try_collect().await.with_context(|| format!("failed to list the consumers of {name}"))
}

struct BacklogReader<'a> {
    broker: &'a Broker,
    events: Stream<()>,
    retries: Stream<()>,
}

impl<'a> BacklogReader<'a> {
    async fn open(broker: &'a Broker) -> anyhow::Result<Self> {
        let [events, retries] =
            [streams::EVENTS, streams::RETRIES].map(|name| broker.jetstream.get_stream_no_info(name));
        let (events, retries) = (events.await, retries.await);
        let failed = "failed to open a stream";
        Ok(Self { broker, events: events.context(failed)?, retries: retries.context(failed)? })
    }

    /// Adds what RETRIES holds. Each retry has a subject of its own.
    async fn count_retries(&self, backlogs: &mut BTreeMap<EndpointId, ConsumerBacklog>) -> anyhow::Result<()> {
        let failed = "failed to count retries";
        let mut subjects = self.retries.info_with_subjects(">").await.context(failed)?;
        while let Some((subject, _)) = subjects.try_next().await.context(failed)? {
            let (Some(endpoint), Some(retry)) = (subject::endpoint_of_retry(&subject), subject::parse_retry(&subject))
            else {
                continue;
            };
            let backlog = backlogs.entry(endpoint).or_default();
            backlog.retries += 1;
            // A replay delivers old events, which did not wait since they were stored.
            let live = Some(retry.sequence).filter(|_| retry.run == LIVE_RUN);
            backlog.first_retried = [backlog.first_retried, live].into_iter().flatten().min();
        }
        Ok(())
    }

    async fn waiting(&self, backlog: ConsumerBacklog) -> anyhow::Result<WaitingEvents> {
        let mut stored = Vec::new();
        if backlog.unsettled > 0 {
            for filter in &backlog.filters {
                stored.extend(next_stored(&self.events, filter, backlog.settled_to + 1).await?);
            }
        }
        if let Some(first) = backlog.first_retried {
            match self.events.direct_get(first).await {
                Ok(event) => stored.push(event.time),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
                Err(error) => return Err(error).context("failed to read an event that waits"),
            }
        }
        let oldest = stored.into_iter().min().map(|at| self.age(at));
        Ok(WaitingEvents { count: backlog.unsettled + backlog.retries, oldest })
    }

    fn age(&self, stored: OffsetDateTime) -> Duration {
        (self.broker.clock.now() - stored).try_into().unwrap_or_default()
    }
}

/// When the first message from a sequence on was stored that matches.
async fn next_stored(stream: &Stream<()>, filter: &str, from: u64) -> anyhow::Result<Option<OffsetDateTime>> {
    match stream.direct_get_next_for_subject(filter, Some(from)).await {
        Ok(message) => Ok(Some(message.time)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("failed to look for the oldest message"),
    }
}
