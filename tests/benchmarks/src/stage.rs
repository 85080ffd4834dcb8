//! A NATS with events, and a receiver.

use crate::sink::CountingReceiver;
use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    jetstream::{
        Context,
        consumer::pull,
        kv,
        message::PublishMessage,
        stream::{Config, DiscardPolicy},
    },
};
use kurir_contract::{
    endpoint::{BUCKET, EndpointId, EndpointSettings},
    event::EventId,
    header, stream, subject,
};
use kurir_test_harness::Nats;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The size of an event in bytes, as of a short text message.
const EVENT_SIZE: usize = 600;
/// The type of the events for the endpoint `default`.
const TEXT: &str = "message.received";
/// How many messages are published before NATS has acknowledged them.
const PUBLISHING: usize = 1_000;

pub struct BenchmarkStage {
    pub nats: Nats,
    pub jetstream: Context,
    pub sink: CountingReceiver,
}

impl BenchmarkStage {
    pub async fn set(sink_delay: Duration) -> anyhow::Result<Self> {
        let nats = Nats::start().await;
        let jetstream = nats.jetstream().await;
        let config = Config {
            name: stream::EVENTS.to_owned(),
            subjects: vec![subject::ALL_EVENTS.to_owned()],
            discard: DiscardPolicy::New,
            max_age: stream::EVENTS_MAX_AGE,
            duplicate_window: stream::EVENTS_DUPLICATE_WINDOW,
            max_consumers: stream::MAX_CONSUMERS,
            allow_direct: true,
            ..Config::default()
        };
        jetstream.create_stream(config).await.context("failed to make EVENTS")?;
        Ok(Self { nats, jetstream, sink: CountingReceiver::start(sink_delay).await? })
    }

    /// Stores further events.
    pub async fn fill(&self, events: u64) -> anyhow::Result<()> {
        let mut stored = Vec::with_capacity(PUBLISHING);
        for number in 0..events {
            stored.push(self.send(TEXT, event(None)).await?);
            if stored.len() == PUBLISHING || number + 1 == events {
                for acknowledged in stored.drain(..) {
                    acknowledged.await.context("failed to store an event")?;
                }
            }
        }
        Ok(())
    }

    /// Stores an event with the time of the publish.
    pub async fn publish_now(&self) -> anyhow::Result<impl IntoFuture<Output = anyhow::Result<()>> + use<>> {
        self.publish_now_to(TEXT).await
    }

    /// The same, with another type.
    pub async fn publish_now_to(
        &self,
        kind: &str,
    ) -> anyhow::Result<impl IntoFuture<Output = anyhow::Result<()>> + use<>> {
        let stored = self.send(kind, event(Some(SystemTime::now()))).await?;
        Ok(async move {
            stored.await?;
            Ok(())
        })
    }

    /// Puts `count` endpoints into the bucket. Number `n` receives events of the type `bench.<n>`.
    pub async fn endpoints(&self, count: usize, url: impl Fn(usize) -> String) -> anyhow::Result<()> {
        let config = kv::Config { bucket: BUCKET.to_owned(), history: 1, ..kv::Config::default() };
        let bucket = self.jetstream.create_key_value(config).await.context("failed to make the bucket")?;
        for number in 0..count {
            let events = vec![format!("bench.{number}").parse()?];
            let settings = EndpointSettings { events, ..EndpointSettings::new(url(number)) };
            let id = EndpointId::random();
            bucket
                .put(id.as_str(), serde_json::to_vec(&settings)?.into())
                .await
                .context("failed to put an endpoint")?;
        }
        Ok(())
    }

    /// Deletes a consumer, so that the next contestant begins at the first event.
    pub async fn forget(&self, consumer: &str) -> anyhow::Result<()> {
        let events = self.jetstream.get_stream(stream::EVENTS).await?;
        if events.get_consumer::<pull::Config>(consumer).await.is_ok() {
            events.delete_consumer(consumer).await?;
        }
        self.sink.reset();
        Ok(())
    }

    async fn send(
        &self,
        kind: &str,
        payload: String,
    ) -> anyhow::Result<async_nats::jetstream::context::PublishAckFuture> {
        let mut headers = HeaderMap::new();
        headers.insert(header::EVENT_ID, EventId::random().as_str());
        let publish = PublishMessage::build().headers(headers).payload(payload.into());
        self.jetstream
            .send_publish(format!("whatsapp.events.default.{kind}"), publish)
            .await
            .context("failed to publish an event")
    }
}

fn event(sent: Option<SystemTime>) -> String {
    let sent = sent.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let sent = sent.map(|at| format!(",\"sent\":{}", at.as_nanos())).unwrap_or_default();
    let head = format!(
        "{{\"event\":\"message.received\",\"timestamp\":\"2026-11-24T13:27:25.042Z\",\"data\":{{\"messageId\":\"3EB0\"{sent},\"text\":\""
    );
    let text = "x".repeat(EVENT_SIZE.saturating_sub(head.len() + 4));
    format!("{head}{text}\"}}}}")
}

/// The median of some figures.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    quantile(&figures, 0.5)
}

/// The value at a part (0.5: the median) of sorted values.
pub fn quantile<T: Copy + Default>(sorted: &[T], part: f64) -> T {
    let at = ((sorted.len() as f64 - 1.0) * part).round().max(0.0) as usize;
    sorted.get(at).copied().unwrap_or_default()
}
