//! Fresh events beside 100,000 retries that wait for their time.

use crate::{
    contestant::{Contestant, ContestantKind, usage},
    latency::paced,
    stage::{BenchmarkStage, quantile},
};
use anyhow::Context as _;
use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use kurir_contract::{endpoint::EndpointId, header, subject::RetrySubject};
use std::{path::Path, time::Duration};

const RETRIES: u64 = 100_000;
const SECONDS: u64 = 10;
/// Kept and not acknowledged by NATS at one time.
const KEEPING: usize = 1_000;

pub async fn measure(dispatcher: &Path) -> anyhow::Result<()> {
    println!("\nwaiting retries: fresh events at 1,000 a second beside them, publish → POST, milliseconds");
    println!("{:>10}  {:>8}  {:>8}  {:>10}", "waiting", "p50", "p99", "NATS, MB");
    let mut stage = BenchmarkStage::set(Duration::ZERO).await?;
    let contestant = Contestant::start(ContestantKind::Dispatcher, dispatcher, &stage.nats.url(), &stage.sink.url())?;
    contestant.ready(Duration::from_secs(30)).await?;
    stage.fill(1_000).await?;
    stage.sink.wait_for(1_000, Duration::from_secs(30)).await?;
    for waiting in [0, RETRIES] {
        if waiting > 0 {
            keep(&stage, waiting).await?;
        }
        stage.sink.reset();
        let latencies = paced(&stage, SECONDS, 0, |_| None).await?;
        let at = |part: f64| f64::from(quantile(&latencies, part)) / 1_000.0;
        let nats = usage(stage.nats.process().id())?.rss_megabytes;
        println!("{waiting:>10}  {:>8.2}  {:>8.2}  {nats:>10.1}", at(0.5), at(0.99));
    }
    Ok(())
}

/// Retries as the dispatcher keeps them, due in a far future.
async fn keep(stage: &BenchmarkStage, count: u64) -> anyhow::Result<()> {
    let endpoint = EndpointId::default();
    let mut kept = Vec::with_capacity(KEEPING);
    for sequence in 1..=count {
        let retry = RetrySubject { endpoint: &endpoint, chat: "-", run: "live", sequence };
        let mut headers = HeaderMap::new();
        headers.insert(header::SCHEDULE, "@at 2099-01-01T00:00:00Z");
        headers.insert(header::SCHEDULE_TARGET, retry.due());
        headers.insert(header::KURIR_EVENT_ID, format!("evt_{sequence:032x}"));
        headers.insert(header::EVENT_SUBJECT, "whatsapp.events.default.message.received");
        headers.insert(header::ATTEMPT, "2");
        let publish = PublishMessage::build().headers(headers);
        kept.push(stage.jetstream.send_publish(retry.waiting(), publish).await.context("failed to keep a retry")?);
        if kept.len() == KEEPING || sequence == count {
            for stored in kept.drain(..) {
                stored.await.context("failed to keep a retry")?;
            }
        }
    }
    Ok(())
}
