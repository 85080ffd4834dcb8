//! From the publish to the POST, while events come at a steady pace.

use crate::{
    contestant::{Contestant, ContestantKind},
    stage::{BenchmarkStage, quantile},
};
use std::{path::Path, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

const PER_SECOND: u64 = 1_000;
const SECONDS: u64 = 10;
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);

pub async fn measure(dispatcher: &Path) -> anyhow::Result<()> {
    println!("\nlatency from the publish to the POST, {PER_SECOND} events a second for {SECONDS} s, milliseconds");
    println!("{:>16}  {:>8}  {:>8}  {:>8}  {:>8}", "who", "p50", "p90", "p99", "max");
    for kind in [ContestantKind::Raw, ContestantKind::Dispatcher] {
        let latencies = one(kind, dispatcher).await?;
        let at = |part: f64| f64::from(quantile(&latencies, part)) / 1_000.0;
        println!("{:>16}  {:>8.2}  {:>8.2}  {:>8.2}  {:>8.2}", kind.name(), at(0.5), at(0.9), at(0.99), at(1.0));
    }
    Ok(())
}

/// Sorted, in microseconds.
async fn one(kind: ContestantKind, dispatcher: &Path) -> anyhow::Result<Vec<u32>> {
    let stage = BenchmarkStage::set(Duration::ZERO).await?;
    let _contestant = Contestant::start(kind, dispatcher, &stage.nats.url(), &stage.sink.url())?;
    // What comes before it is warm is not measured.
    stage.fill(1_000).await?;
    stage.sink.wait_for(1_000, Duration::from_secs(30)).await?;
    stage.sink.reset();
    paced(&stage, SECONDS, 0, |_| None).await
}

/// Publishes at the pace, and gives the latencies of what came to the sink, sorted, in microseconds. `kind`: the type of
/// each event by its number; none: the usual one. So many events as `elsewhere` do not reach the sink.
///
/// # Errors
/// If the sink does not receive the others within half a minute.
pub async fn paced(
    stage: &BenchmarkStage,
    seconds: u64,
    elsewhere: u64,
    kind: impl Fn(u64) -> Option<String>,
) -> anyhow::Result<Vec<u32>> {
    let latencies = publish_at_pace(stage, seconds, elsewhere, kind).await?;
    let missing = (PER_SECOND * seconds - elsewhere).saturating_sub(latencies.len() as u64);
    anyhow::ensure!(missing == 0, "{missing} deliveries did not come within {DELIVERED_WITHIN:?}");
    Ok(latencies)
}

/// The same, and what did not come in time is missing.
pub async fn publish_at_pace(
    stage: &BenchmarkStage,
    seconds: u64,
    elsewhere: u64,
    kind: impl Fn(u64) -> Option<String>,
) -> anyhow::Result<Vec<u32>> {
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..PER_SECOND * seconds {
        ticks.tick().await;
        // Not waited for: the pace is the events', not NATS'.
        match kind(number) {
            Some(kind) => drop(stage.publish_now_to(&kind).await?),
            None => drop(stage.publish_now().await?),
        }
    }
    // What came is measured in either case.
    let _ = stage.sink.wait_for(PER_SECOND * seconds - elsewhere, DELIVERED_WITHIN).await;
    let mut latencies = stage.sink.take_latencies();
    latencies.sort_unstable();
    Ok(latencies)
}
