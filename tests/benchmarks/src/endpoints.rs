//! Many endpoints: how long until all have their consumers, what they cost while nothing happens, and delivering.

use crate::{
    contestant::{Contestant, Kind, usage},
    stage::Stage,
};
use std::{path::Path, time::Duration};

/// Events that are delivered, shared by all endpoints.
const EVENTS: usize = 20_000;
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(10);

pub async fn measure(dispatcher: &Path) -> anyhow::Result<()> {
    println!("\nendpoints: each with a type of its own, {EVENTS} events shared by them");
    println!(
        "{:>10}  {:>9}  {:>16}  {:>12}  {:>10}  {:>12}  {:>20}",
        "endpoints", "ready, s", "idle CPU, of 1", "RSS, MB", "NATS, MB", "RSS after", "deliveries a second"
    );
    for count in [1, 100, 1_000, 10_000] {
        one(dispatcher, count).await?;
    }
    Ok(())
}

async fn one(dispatcher: &Path, count: usize) -> anyhow::Result<()> {
    let mut stage = Stage::set(Duration::ZERO).await?;
    let url = stage.sink.url();
    stage.endpoints(count, |_| url.clone()).await?;
    // `default` goes nowhere: it would have every event too.
    let contestant = Contestant::start(Kind::Dispatcher, dispatcher, &stage.nats.url(), "")?;
    let ready = contestant.ready(Duration::from_secs(120)).await?;
    let nats = stage.nats.process().id();

    let before = contestant.usage()?;
    tokio::time::sleep(IDLE).await;
    let idle = (contestant.usage()?.cpu - before.cpu).as_secs_f64() / IDLE.as_secs_f64();
    let (rss, nats) = (contestant.usage()?.rss_megabytes, usage(nats)?.rss_megabytes);

    for number in 0..EVENTS {
        drop(stage.publish_now_to(&format!("bench.{}", number % count)).await?);
    }
    let seen = stage.sink.wait_for(EVENTS as u64, Duration::from_secs(120)).await?;
    let rate = (seen.count - 1) as f64 / seen.span.as_secs_f64();
    let after = contestant.usage()?.rss_megabytes;
    println!(
        "{count:>10}  {:>9.1}  {idle:>16.3}  {rss:>12.1}  {nats:>10.1}  {after:>12.1}  {rate:>20.0}",
        ready.as_secs_f64()
    );
    Ok(())
}
