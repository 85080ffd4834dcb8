//! Messages per second from the simulated WhatsApp into EVENTS through one gateway, which decrypts, maps and stores a message
//! before it acknowledges it. Three kinds: from people who were never answered (each message carries keys), from people who
//! were, and messages that waited while the gateway was away.

use crate::{
    gateway::{LoadSenders, PairedGateway, StackUsage},
    stage::median,
};
use std::{path::Path, time::Duration};

const MESSAGES: u64 = 30_000;
const CONTACTS: u64 = 100;
/// Messages before the measurement, which create sessions and fill caches.
const WARM: u64 = 2_000;

#[derive(Clone, Copy)]
struct InboundRun {
    rate: f64,
    /// CPU time for each message, in microseconds.
    gateway: f64,
    simulator: f64,
    nats: f64,
}

/// The three kinds, in the order in which they are measured.
const KINDS: [&str; 3] = ["strangers", "who was answered", "a backlog"];

pub async fn measure(gateway: &Path, rounds: u32) -> anyhow::Result<()> {
    println!("\ninbound: {MESSAGES} texts of {CONTACTS} contacts, WhatsApp → EVENTS, {rounds} rounds");
    println!(
        "{:>7}  {:>16}  {:>18}  {:>18}  {:>16}  {:>10}",
        "round", "of whom", "messages a second", "gateway's CPU µs", "the simulator's", "of NATS"
    );
    let mut all: [Vec<InboundRun>; 3] = Default::default();
    for round in 1..=rounds {
        let turns = turns(&mut PairedGateway::start(gateway).await?).await?;
        for ((turn, kind), all) in turns.into_iter().zip(KINDS).zip(&mut all) {
            turn.print(&round.to_string(), kind);
            all.push(turn);
        }
    }
    for (turns, kind) in all.iter().zip(KINDS) {
        InboundRun::median(turns).print("median", kind);
    }
    Ok(())
}

async fn turns(paired: &mut PairedGateway) -> anyhow::Result<[InboundRun; 3]> {
    paired.load(WARM, &LoadSenders::New(CONTACTS)).await?;

    let before = paired.used()?;
    let (load, took) = paired.load(MESSAGES, &LoadSenders::New(CONTACTS)).await?;
    let strangers = InboundRun::of(took, before, paired.used()?);

    paired.answer(&load).await?;
    let same = LoadSenders::OfLoad(load);
    paired.load(WARM, &same).await?;
    let before = paired.used()?;
    let (_, took) = paired.load(MESSAGES, &same).await?;
    let answered = InboundRun::of(took, before, paired.used()?);

    paired.load_while_away(MESSAGES, &same).await?;
    let before = paired.used()?;
    let took = paired.catch_up(MESSAGES).await?;
    let backlog = InboundRun::of(took, before, paired.used()?);
    Ok([strangers, answered, backlog])
}

impl InboundRun {
    fn of(took: Duration, before: StackUsage, after: StackUsage) -> Self {
        let for_each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / MESSAGES as f64;
        Self {
            rate: MESSAGES as f64 / took.as_secs_f64(),
            gateway: for_each(after.gateway.cpu - before.gateway.cpu),
            simulator: for_each(after.simulator.cpu - before.simulator.cpu),
            nats: for_each(after.nats.cpu - before.nats.cpu),
        }
    }

    fn median(turns: &[Self]) -> Self {
        let median = |value: fn(&Self) -> f64| median(turns.iter().map(value));
        Self {
            rate: median(|turn| turn.rate),
            gateway: median(|turn| turn.gateway),
            simulator: median(|turn| turn.simulator),
            nats: median(|turn| turn.nats),
        }
    }

    fn print(&self, round: &str, kind: &str) {
        let Self { rate, gateway, simulator, nats } = self;
        println!("{round:>7}  {kind:>16}  {rate:>18.0}  {gateway:>18.1}  {simulator:>16.1}  {nats:>10.1}");
    }
}
