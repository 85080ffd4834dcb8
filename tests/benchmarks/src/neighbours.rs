//! 100 endpoints, and what 99 of them notice when the hundredth takes every request and never answers.

use crate::{
    contestant::{Contestant, ContestantKind},
    latency::paced,
    stage::{BenchmarkStage, median, quantile},
};
use std::{path::Path, time::Duration};
use tokio::net::TcpListener;

const ENDPOINTS: usize = 100;
/// Of one turn, at 1,000 events a second.
const SECONDS: u64 = 10;

pub async fn measure(dispatcher: &Path, rounds: u32) -> anyhow::Result<()> {
    println!("\nneighbours: {ENDPOINTS} endpoints, 1,000 events a second, publish → POST of 99 of them, milliseconds");
    println!("{:>7}  {:>20}  {:>8}  {:>8}", "round", "the hundredth", "p50", "p99");
    let (mut well, mut hanging) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        for (hangs, all) in [(false, &mut well), (true, &mut hanging)] {
            let latencies = one(dispatcher, hangs).await?;
            let at = |part: f64| f64::from(quantile(&latencies, part)) / 1_000.0;
            let who = if hangs { "hangs" } else { "is well" };
            println!("{round:>7}  {who:>20}  {:>8.2}  {:>8.2}", at(0.5), at(0.99));
            all.push(at(0.99));
        }
    }
    println!("p99 with a hanging neighbour / without: {:.2}", median(hanging.into_iter()) / median(well.into_iter()));
    Ok(())
}

async fn one(dispatcher: &Path, hangs: bool) -> anyhow::Result<Vec<u32>> {
    let stage = BenchmarkStage::set(Duration::ZERO).await?;
    // Takes connections into its backlog and says nothing, for as long as it is held.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await?;
    let nowhere = format!("http://{}/webhook", silent.local_addr()?);
    let sink = stage.sink.url();
    stage.endpoints(ENDPOINTS, |number| if hangs && number == 0 { nowhere.clone() } else { sink.clone() }).await?;
    let contestant = Contestant::start(ContestantKind::Dispatcher, dispatcher, &stage.nats.url(), "")?;
    contestant.ready(Duration::from_secs(30)).await?;
    let elsewhere = |seconds: u64| if hangs { seconds * 1_000 / ENDPOINTS as u64 } else { 0 };
    let kind = |number: u64| Some(format!("bench.{}", number % ENDPOINTS as u64));
    // What comes before it is warm is not measured.
    paced(&stage, 2, elsewhere(2), kind).await?;
    stage.sink.reset();
    paced(&stage, SECONDS, elsewhere(SECONDS), kind).await
}
