//! Messages a second from the simulated WhatsApp into EVENTS, through one gateway: decrypted, mapped, stored, and only
//! then acknowledged.

use crate::{
    gateway::{Paired, Used},
    stage::quantile,
};
use std::{path::Path, time::Duration};

const MESSAGES: u64 = 30_000;
const CONTACTS: u64 = 100;
/// Sessions are made and caches filled before anything is measured.
const WARM: u64 = 2_000;

struct Turn {
    rate: f64,
    /// CPU time for each message, microseconds.
    gateway: f64,
    simulator: f64,
    nats: f64,
}

pub async fn measure(gateway: &Path, rounds: u32) -> anyhow::Result<()> {
    println!("\ninbound: {MESSAGES} texts of {CONTACTS} contacts, WhatsApp → EVENTS, {rounds} rounds");
    println!(
        "{:>7}  {:>18}  {:>18}  {:>16}  {:>10}",
        "round", "messages a second", "gateway's CPU µs", "the simulator's", "of NATS"
    );
    let mut turns = Vec::new();
    for round in 1..=rounds {
        let mut paired = Paired::start(gateway).await?;
        paired.load(WARM, CONTACTS).await?;
        let before = paired.used()?;
        let took = paired.load(MESSAGES, CONTACTS).await?;
        let turn = Turn::of(took, before, paired.used()?);
        turn.print(&round.to_string());
        turns.push(turn);
    }
    Turn::median(&turns).print("median");
    Ok(())
}

impl Turn {
    fn of(took: Duration, before: Used, after: Used) -> Self {
        let for_each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / MESSAGES as f64;
        Self {
            rate: MESSAGES as f64 / took.as_secs_f64(),
            gateway: for_each(after.gateway.cpu - before.gateway.cpu),
            simulator: for_each(after.simulator.cpu - before.simulator.cpu),
            nats: for_each(after.nats.cpu - before.nats.cpu),
        }
    }

    fn median(turns: &[Self]) -> Self {
        let median = |value: fn(&Self) -> f64| {
            let mut values: Vec<f64> = turns.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            quantile(&values, 0.5)
        };
        Self {
            rate: median(|turn| turn.rate),
            gateway: median(|turn| turn.gateway),
            simulator: median(|turn| turn.simulator),
            nats: median(|turn| turn.nats),
        }
    }

    fn print(&self, round: &str) {
        let Self { rate, gateway, simulator, nats } = self;
        println!("{round:>7}  {rate:>18.0}  {gateway:>18.1}  {simulator:>16.1}  {nats:>10.1}");
    }
}
