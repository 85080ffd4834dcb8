//! How fast one chat is taken, and many: messages per second until WhatsApp has every acknowledgement, for Kurir and for
//! whatsmeow in turns. whatsmeow stores nothing but its keys; Kurir acknowledges what NATS has on disk.

use crate::{
    gateway::PairedGateway,
    stage::median,
    whatsmeow::{WhatsmeowPeer, whatsmeow_binary},
};
use anyhow::Context as _;
use kurir_test_harness::stack::Simulator;
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// The people of the busy group.
const MEMBERS: usize = 10;
/// Texts of one chat, and of a hundred: some seconds each.
const MESSAGES_OF_ONE: u64 = 2_000;
const MESSAGES_OF_MANY: u64 = 5_000;
/// Messages before the measurement.
const WARM: u64 = 200;
const LOADED_WITHIN: Duration = Duration::from_secs(300);
/// The pause between two looks: the simulator walks through all messages for each.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Who writes where.
const KINDS: [&str; 3] = ["one contact", "one group", "100 contacts"];

pub async fn measure(gateway: &Path, rounds: u32) -> anyhow::Result<()> {
    println!(
        "\nchats: texts as fast as they are taken, until WhatsApp has the acknowledgements, {rounds} rounds in turns"
    );
    println!("{:>7}  {:>14}  {:>14}  {:>14}  {:>6}", "round", "who writes", "Kurir, 1/s", "whatsmeow, 1/s", "ratio");
    let peer = whatsmeow_binary().inspect_err(|why| println!("whatsmeow cannot be had here: {why:#}")).ok();
    let mut rates: [(Vec<f64>, Vec<f64>); 3] = Default::default();
    for round in 1..=rounds {
        let paired = PairedGateway::start(gateway).await?;
        let ours = all_kinds(&paired.simulator).await?;
        drop(paired);
        let theirs = match &peer {
            Some(program) => {
                let simulator = Simulator::start(false).await;
                let _peer = WhatsmeowPeer::start(program, &simulator).await?;
                Some(all_kinds(&simulator).await?)
            }
            None => None,
        };
        for (kind, (our_rates, their_rates)) in rates.iter_mut().enumerate() {
            let their = theirs.map(|theirs| theirs[kind]);
            print(&round.to_string(), KINDS[kind], ours[kind], their);
            our_rates.push(ours[kind]);
            their_rates.extend(their);
        }
    }
    for (kind, (our_rates, their_rates)) in KINDS.iter().zip(&rates) {
        print(
            "median",
            kind,
            median(our_rates.iter().copied()),
            (!their_rates.is_empty()).then(|| median(their_rates.iter().copied())),
        );
    }
    Ok(())
}

/// The rates of the three kinds.
async fn all_kinds(simulator: &Simulator) -> anyhow::Result<[f64; 3]> {
    let members: Vec<String> = (0..MEMBERS).map(|member| format!("628120000{member:04}")).collect();
    let group = simulator.post("/groups", json!({"subject": "Busy", "participants": members})).await["id"].clone();
    let of_group = json!({"group": group});
    Ok([
        one_kind(simulator, json!({"contacts": 1}), MESSAGES_OF_ONE).await?,
        one_kind(simulator, of_group, MESSAGES_OF_ONE).await?,
        one_kind(simulator, json!({"contacts": 100}), MESSAGES_OF_MANY).await?,
    ])
}

async fn one_kind(simulator: &Simulator, whose: Value, messages: u64) -> anyhow::Result<f64> {
    load(simulator, whose.clone(), WARM).await?;
    let took = load(simulator, whose, messages).await?;
    Ok(messages as f64 / took.as_secs_f64())
}

/// Lets people write, and returns how long it took until all is acknowledged.
async fn load(simulator: &Simulator, mut load: Value, messages: u64) -> anyhow::Result<Duration> {
    load["messages"] = messages.into();
    load["rate"] = 100_000.into();
    // The progress of a load counts all messages of its people.
    let is_group = load.get("group").is_some();
    let before = if is_group { acknowledged_of_members(simulator).await } else { 0 };
    let begun = Instant::now();
    let id = simulator.post("/load", load).await["id"].as_str().map(str::to_owned).context("no load began")?;
    loop {
        let progress = simulator.get(&format!("/load/{id}")).await;
        if progress["acknowledged"].as_u64().unwrap_or_default() >= before + messages {
            return Ok(begun.elapsed());
        }
        anyhow::ensure!(begun.elapsed() < LOADED_WITHIN, "not acknowledged within {LOADED_WITHIN:?}: {progress}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn acknowledged_of_members(simulator: &Simulator) -> u64 {
    let messages = simulator.messages("acknowledged").await;
    let of_member =
        |message: &&Value| message["contact"].as_str().is_some_and(|contact| contact.starts_with("628120000"));
    messages.iter().filter(of_member).count() as u64
}

fn print(round: &str, kind: &str, ours: f64, theirs: Option<f64>) {
    match theirs {
        Some(theirs) => println!("{round:>7}  {kind:>14}  {ours:>14.0}  {theirs:>14.0}  {:>6.2}", ours / theirs),
        None => println!("{round:>7}  {kind:>14}  {ours:>14.0}  {:>14}  {:>6}", "-", "-"),
    }
}
