//! What a message costs with its session's keys in a file and with the keys in NATS (`SESSION_STORE=nats`), in turns.
//!
//! Cost: texts of people who write as fast as they are taken. Wait: one text after the other, from the moment at which a contact
//! writes until its event is stored.

use crate::{
    gateway::{LoadSenders, PairedGateway},
    stage::{median, quantile},
};
use anyhow::Context as _;
use futures::StreamExt as _;
use kurir_contract::subject;
use std::{
    path::Path,
    time::{Duration, Instant},
};

const MESSAGES: u64 = 10_000;
const CONTACTS: u64 = 100;
const WARM: u64 = 1_000;
/// Texts that are waited for one by one.
const SINGLE: usize = 500;
const CONTACT: &str = "6281234567890";
const STORED_WITHIN: Duration = Duration::from_secs(10);
const KEY: &str = "a key of the benchmark that seals sessions";

#[derive(Clone, Copy)]
struct StoreRun {
    rate: f64,
    /// CPU time of the gateway and of NATS for each message, in microseconds.
    gateway: f64,
    nats: f64,
    /// Milliseconds from the contact to EVENTS.
    p50: f64,
    p99: f64,
}

pub async fn measure(gateway: &Path, rounds: u32) -> anyhow::Result<()> {
    println!("\nstores: {MESSAGES} texts of {CONTACTS} contacts and {SINGLE} single ones, {rounds} rounds in turns");
    println!(
        "{:>7}  {:>7}  {:>18}  {:>17}  {:>8}  {:>8}  {:>8}",
        "round", "store", "messages a second", "gateway's CPU µs", "of NATS", "p50 ms", "p99 ms"
    );
    let stores = [("sqlite", vec![]), ("nats", vec![("SESSION_STORE", "nats"), ("SESSION_KEY", KEY)])];
    let mut all = [Vec::new(), Vec::new()];
    for round in 1..=rounds {
        for ((name, settings), all) in stores.iter().zip(&mut all) {
            let run = turn(gateway, settings).await?;
            run.print(&round.to_string(), name);
            all.push(run);
        }
    }
    let [sqlite, nats] = all.map(|runs| StoreRun::median(&runs));
    sqlite.print("median", "sqlite");
    nats.print("median", "nats");
    let cpu = |run: &StoreRun| run.gateway + run.nats;
    println!(
        "nats beside sqlite: {:.2} of the CPU (goal: at most 1.5), p99 {:+.1} ms (goal: at most 5)",
        cpu(&nats) / cpu(&sqlite),
        nats.p99 - sqlite.p99
    );
    Ok(())
}

async fn turn(gateway: &Path, settings: &[(&'static str, &'static str)]) -> anyhow::Result<StoreRun> {
    let mut paired = PairedGateway::start_with(gateway, settings).await?;
    paired.load(WARM, &LoadSenders::New(CONTACTS)).await?;
    let before = paired.used()?;
    let (_, took) = paired.load(MESSAGES, &LoadSenders::New(CONTACTS)).await?;
    let after = paired.used()?;
    let for_each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / MESSAGES as f64;
    let waits = single_texts(&paired).await?;
    Ok(StoreRun {
        rate: MESSAGES as f64 / took.as_secs_f64(),
        gateway: for_each(after.gateway.cpu - before.gateway.cpu),
        nats: for_each(after.nats.cpu - before.nats.cpu),
        p50: quantile(&waits, 0.5),
        p99: quantile(&waits, 0.99),
    })
}

/// Milliseconds, sorted.
async fn single_texts(paired: &PairedGateway) -> anyhow::Result<Vec<f64>> {
    let client = paired.nats.client().await;
    let mut events = client.subscribe(subject::ALL_EVENTS).await.context("failed to listen to events")?;
    client.flush().await.context("failed to listen to events")?;
    let mut waits = Vec::with_capacity(SINGLE);
    for n in 0..SINGLE {
        let words = format!("single text {n}.");
        let written = Instant::now();
        paired.simulator.contact_writes(CONTACT, &words).await;
        loop {
            let event = tokio::time::timeout(STORED_WITHIN, events.next()).await.context("a text was not stored")?;
            let event = event.context("NATS went away")?;
            if String::from_utf8_lossy(&event.payload).contains(&words) {
                break;
            }
        }
        waits.push(written.elapsed().as_secs_f64() * 1e3);
    }
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}

impl StoreRun {
    fn median(runs: &[Self]) -> Self {
        let median = |value: fn(&Self) -> f64| median(runs.iter().map(value));
        Self {
            rate: median(|run| run.rate),
            gateway: median(|run| run.gateway),
            nats: median(|run| run.nats),
            p50: median(|run| run.p50),
            p99: median(|run| run.p99),
        }
    }

    fn print(&self, round: &str, store: &str) {
        let Self { rate, gateway, nats, p50, p99 } = self;
        println!("{round:>7}  {store:>7}  {rate:>18.0}  {gateway:>17.1}  {nats:>8.1}  {p50:>8.1}  {p99:>8.1}");
    }
}
