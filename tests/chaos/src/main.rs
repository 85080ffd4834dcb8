//! `make chaos`: a run of a chosen length and seed, and what came of it.

use clap::{Parser, builder::FalseyValueParser};
use kurir_chaos::ChaosPlan;
use std::{process::ExitCode, time::Duration};

/// Kills, freezes and restarts Kurir's processes under load, and checks that nothing is lost.
#[derive(Parser)]
struct ChaosOptions {
    /// How long faults happen; what is under way then may arrive for five more minutes.
    #[arg(long, env = "CHAOS_DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// The same seed gives the same faults.
    #[arg(long, env = "CHAOS_SEED", default_value_t = 1)]
    seed: u64,
    /// Messages of contacts a second.
    #[arg(long, env = "CHAOS_RATE", default_value_t = 50)]
    rate: u32,
    /// Three nodes of NATS and three gateways instead of one of each.
    #[arg(long, env = "CHAOS_CLUSTER", value_parser = FalseyValueParser::new())]
    cluster: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = ChaosOptions::parse();
    let plan = ChaosPlan {
        duration: options.duration,
        seed: options.seed,
        messages_per_second: options.rate.clamp(1, 1_000),
        cluster: options.cluster,
    };
    let verdict = kurir_chaos::run(plan).await?;
    for problem in verdict.problems() {
        println!("{problem}");
    }
    println!("{verdict}");
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
