//! Deliveries per second of the dispatcher and of the bare loop, in turns with the same events.

use crate::{
    contestant::{Contestant, ContestantKind, usage},
    stage::{BenchmarkStage, median},
};
use std::{path::Path, time::Duration};

/// A tenth of what is usual here.
const SLOWEST: f64 = 2_000.0;

/// The result of one run, or the medians of all.
#[derive(Clone, Copy)]
struct ThroughputRun {
    /// Deliveries per second.
    rate: f64,
    /// CPU time for each delivery, in microseconds.
    own: f64,
    /// CPU time of NATS for each delivery, in microseconds.
    nats: f64,
}

pub async fn measure(dispatcher: &Path, rounds: u32, events: u64) -> anyhow::Result<()> {
    println!("\nthroughput: {events} events of 600 bytes, 64 in flight, {rounds} rounds in turns");
    println!(
        "{:>7}  {:>16}  {:>20}  {:>16}  {:>10}",
        "round", "who", "deliveries a second", "CPU µs for each", "of NATS"
    );
    let mut stage = BenchmarkStage::set(Duration::ZERO).await?;
    stage.fill(events).await?;
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        for (kind, turns) in [(ContestantKind::Raw, &mut raw), (ContestantKind::Dispatcher, &mut ours)] {
            let turn = one(&mut stage, kind, dispatcher, events).await?;
            turn.print(&round.to_string(), kind);
            turns.push(turn);
        }
    }
    let (raw, ours) = (medians(&raw), medians(&ours));
    raw.print("median", ContestantKind::Raw);
    ours.print("median", ContestantKind::Dispatcher);
    // NATS prints its last lines now, so that the ratio is the last line.
    drop(stage);
    println!("dispatcher/raw ratio: {:.2}", ours.rate / raw.rate);
    Ok(())
}

async fn one(
    stage: &mut BenchmarkStage,
    kind: ContestantKind,
    dispatcher: &Path,
    events: u64,
) -> anyhow::Result<ThroughputRun> {
    stage.forget(kind.consumer()).await?;
    let nats = stage.nats.process().id();
    let nats_before = usage(nats)?.cpu;
    let contestant = Contestant::start(kind, dispatcher, &stage.nats.url(), &stage.sink.url())?;
    let within = Duration::from_secs_f64(events as f64 / SLOWEST + 10.0);
    let seen = stage.sink.wait_for(events, within).await?;
    let for_each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / events as f64;
    Ok(ThroughputRun {
        rate: (seen.count - 1) as f64 / seen.span.as_secs_f64(),
        own: for_each(contestant.usage()?.cpu),
        nats: for_each(usage(nats)?.cpu - nats_before),
    })
}

fn medians(turns: &[ThroughputRun]) -> ThroughputRun {
    let median = |value: fn(&ThroughputRun) -> f64| median(turns.iter().map(value));
    ThroughputRun { rate: median(|turn| turn.rate), own: median(|turn| turn.own), nats: median(|turn| turn.nats) }
}

impl ThroughputRun {
    fn print(self, round: &str, kind: ContestantKind) {
        let Self { rate, own, nats } = self;
        println!("{round:>7}  {:>16}  {rate:>20.0}  {own:>16.1}  {nats:>10.1}", kind.name());
    }
}
