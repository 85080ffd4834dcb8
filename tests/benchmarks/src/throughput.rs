//! Deliveries a second: the dispatcher beside the bare loop, in turns over the same events.

use crate::{
    contestant::{Contestant, Kind},
    stage::{Stage, quantile},
};
use std::{path::Path, time::Duration};

/// A tenth of what is usual here.
const SLOWEST: f64 = 2_000.0;

#[derive(Default)]
struct Results {
    rates: Vec<f64>,
    microseconds: Vec<f64>,
}

pub async fn measure(dispatcher: &Path, rounds: u32, events: u64) -> anyhow::Result<()> {
    println!("\nthroughput: {events} events of 600 bytes, 64 in flight, {rounds} rounds in turns");
    println!("{:>7}  {:>16}  {:>20}  {:>16}", "round", "who", "deliveries a second", "CPU µs for each");
    let stage = Stage::set(Duration::ZERO).await?;
    stage.fill(events).await?;
    let (mut raw, mut ours) = (Results::default(), Results::default());
    for round in 1..=rounds {
        for (kind, results) in [(Kind::Raw, &mut raw), (Kind::Dispatcher, &mut ours)] {
            let (rate, microseconds) = one(&stage, kind, dispatcher, events).await?;
            println!("{round:>7}  {:>16}  {rate:>20.0}  {microseconds:>16.1}", kind.name());
            results.rates.push(rate);
            results.microseconds.push(microseconds);
        }
    }
    let (raw, ours) = (raw.medians(), ours.medians());
    for (kind, (rate, microseconds)) in [(Kind::Raw, raw), (Kind::Dispatcher, ours)] {
        println!("{:>7}  {:>16}  {rate:>20.0}  {microseconds:>16.1}", "median", kind.name());
    }
    // The server says its last words now: the last line is the ratio.
    drop(stage);
    println!("dispatcher/raw ratio: {:.2}", ours.0 / raw.0);
    Ok(())
}

async fn one(stage: &Stage, kind: Kind, dispatcher: &Path, events: u64) -> anyhow::Result<(f64, f64)> {
    stage.forget(kind.consumer()).await?;
    let contestant = Contestant::start(kind, dispatcher, &stage.nats.url(), &stage.sink.url())?;
    let within = Duration::from_secs_f64(events as f64 / SLOWEST + 10.0);
    let seen = stage.sink.wait_for(events, within).await?;
    let usage = contestant.usage()?;
    let rate = (seen.count - 1) as f64 / seen.span.as_secs_f64();
    Ok((rate, usage.cpu.as_secs_f64() * 1e6 / events as f64))
}

impl Results {
    fn medians(mut self) -> (f64, f64) {
        self.rates.sort_by(f64::total_cmp);
        self.microseconds.sort_by(f64::total_cmp);
        (quantile(&self.rates, 0.5), quantile(&self.microseconds, 0.5))
    }
}
