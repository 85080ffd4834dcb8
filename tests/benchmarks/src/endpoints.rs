//! Many endpoints: how long until all have their consumers, what they cost while nothing happens, and delivering.

use crate::{
    contestant::{Contestant, ContestantKind, usage},
    latency::publish_at_pace,
    stage::{BenchmarkStage, quantile},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Of delivering, at 1,000 events a second that all endpoints share.
const SECONDS: u64 = 10;
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(10);

pub async fn measure(dispatcher: &Path) -> anyhow::Result<()> {
    println!(
        "\nendpoints: each with a type of its own; then 1,000 events a second shared by them, publish → POST in ms"
    );
    println!(
        "{:>10}  {:>9}  {:>14}  {:>9}  {:>9}  {:>9}  {:>10}  {:>12}  {:>9}  {:>7}  {:>7}",
        "endpoints",
        "ready, s",
        "idle CPU, of 1",
        "RSS, MB",
        "NATS, MB",
        "RSS then",
        "NATS then",
        "its CPU, of 1",
        "delivered",
        "p50",
        "p99"
    );
    for count in [1, 100, 1_000, 10_000] {
        one(dispatcher, count).await?;
    }
    Ok(())
}

async fn one(dispatcher: &Path, count: usize) -> anyhow::Result<()> {
    let mut stage = BenchmarkStage::set(Duration::ZERO).await?;
    let url = stage.sink.url();
    stage.endpoints(count, |_| url.clone()).await?;
    // `default` goes nowhere: it would have every event too.
    let contestant = Contestant::start(ContestantKind::Dispatcher, dispatcher, &stage.nats.url(), "")?;
    let ready = contestant.ready(Duration::from_secs(120)).await?;
    let server = stage.nats.process().id();

    let before = contestant.usage()?;
    tokio::time::sleep(IDLE).await;
    let idle = (contestant.usage()?.cpu - before.cpu).as_secs_f64() / IDLE.as_secs_f64();
    let (rss, nats) = (contestant.usage()?.rss_megabytes, usage(server)?);

    let kind = |number: u64| Some(format!("bench.{}", number % count as u64));
    let begun = Instant::now();
    let latencies = publish_at_pace(&stage, SECONDS, 0, kind).await?;
    let used = (usage(server)?.cpu - nats.cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
    let at = |part: f64| f64::from(quantile(&latencies, part)) / 1_000.0;
    let (then, nats_then) = (contestant.usage()?.rss_megabytes, usage(server)?.rss_megabytes);
    println!(
        "{count:>10}  {:>9.1}  {idle:>14.3}  {rss:>9.1}  {:>9.1}  {then:>9.1}  {nats_then:>10.1}  {used:>12.2}  {:>9}  {:>7.2}  {:>7.2}",
        ready.as_secs_f64(),
        nats.rss_megabytes,
        latencies.len(),
        at(0.5),
        at(0.99)
    );
    Ok(())
}
