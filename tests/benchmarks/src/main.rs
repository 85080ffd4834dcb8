//! What Kurir's parts cost, measured: `make bench`.
//!
//! - [`sink`]: the receiver that all deliveries go to, as fast as one can be.
//! - [`raw`]: the bare loop (JetStream pull → POST → acknowledge) that the dispatcher is compared with.
//! - [`contestant`]: either of the two as a process, with its CPU time and its memory.
//! - [`stage`]: NATS, filled with events.
//! - [`throughput`], [`latency`], [`scaling`], [`memory`], [`endpoints`], [`neighbours`], [`waiting`]: the measurements.
//!
//! All processes share this machine, so rates move by a fifth from run to run: what is compared is measured in turns,
//! and medians are told.

mod contestant;
mod endpoints;
mod latency;
mod memory;
mod neighbours;
mod raw;
mod scaling;
mod sink;
mod stage;
mod throughput;
mod waiting;

use clap::{Parser, Subcommand};
use contestant::dispatcher_binary;

#[derive(Parser)]
#[command(about = "Measures the webhook-dispatcher beside a bare loop")]
struct Arguments {
    #[command(subcommand)]
    only: Option<Measurement>,
    /// Turns of what is compared.
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Events in each turn.
    #[arg(long, global = true, default_value_t = 60_000)]
    events: u64,
}

#[derive(Subcommand)]
enum Measurement {
    /// Deliveries a second beside the bare loop.
    Throughput,
    /// From the publish to the POST, at 1,000 events a second.
    Latency,
    /// 1, 2 and 4 dispatchers with a receiver that takes 100 ms.
    Scaling,
    /// Of a dispatcher after a million deliveries.
    Memory,
    /// 1, 100, 1,000 and 10,000 endpoints, idle and delivering.
    Endpoints,
    /// 100 endpoints of which one hangs: what the others notice.
    Neighbours,
    /// Fresh events beside 100,000 waiting retries.
    Waiting,
    /// The bare loop itself; started by the others.
    #[command(hide = true)]
    Raw { nats: String, webhook: String },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(arguments))
}

async fn measure(Arguments { only, rounds, events }: Arguments) -> anyhow::Result<()> {
    if let Some(Measurement::Raw { nats, webhook }) = only {
        return raw::run(&nats, &webhook).await;
    }
    let dispatcher = dispatcher_binary()?;
    match only {
        Some(Measurement::Latency) => latency::measure(&dispatcher).await,
        Some(Measurement::Scaling) => scaling::measure(&dispatcher).await,
        Some(Measurement::Memory) => memory::measure(&dispatcher).await,
        Some(Measurement::Endpoints) => endpoints::measure(&dispatcher).await,
        Some(Measurement::Neighbours) => neighbours::measure(&dispatcher, rounds).await,
        Some(Measurement::Waiting) => waiting::measure(&dispatcher).await,
        Some(Measurement::Throughput | Measurement::Raw { .. }) => {
            throughput::measure(&dispatcher, rounds, events).await
        }
        None => {
            latency::measure(&dispatcher).await?;
            scaling::measure(&dispatcher).await?;
            memory::measure(&dispatcher).await?;
            endpoints::measure(&dispatcher).await?;
            neighbours::measure(&dispatcher, rounds).await?;
            waiting::measure(&dispatcher).await?;
            // Last, because its last line is the one that is looked for.
            throughput::measure(&dispatcher, rounds, events).await
        }
    }
}
