//! Measures what Kurir's parts cost: `make bench`.
//!
//! - [`sink`]: a fast receiver of all deliveries, which counts them.
//! - [`raw`]: the bare loop (JetStream pull → POST → acknowledge) with which the dispatcher is compared.
//! - [`contestant`]: the dispatcher or the bare loop as a process, with its CPU time and its memory.
//! - [`stage`]: a NATS with events.
//! - [`gateway`]: a gateway that is paired with a simulated WhatsApp; [`inbound`], [`growth`] and [`stores`]
//!   measure it, [`sessions`] does with many sessions, and [`chats`] beside [`whatsmeow`].
//! - [`throughput`], [`latency`], [`scaling`], [`memory`], [`endpoints`], [`neighbours`] and [`waiting`] measure the dispatcher.
//! - [`search_index`] measures the API's index with the rows of [`search_index_data`].
//!
//! All processes share one machine, so rates vary by a fifth from run to run. Contestants therefore take turns, and the
//! output shows medians.

mod chats;
mod contestant;
mod endpoints;
mod gateway;
mod growth;
mod inbound;
mod latency;
mod memory;
mod neighbours;
mod raw;
mod scaling;
mod search_index;
mod search_index_data;
mod sessions;
mod sink;
mod stage;
mod stores;
mod throughput;
mod waiting;
mod whatsmeow;

use clap::{Parser, Subcommand};
use contestant::dispatcher_binary;
use gateway::gateway_binary;
use search_index::api_binary;

#[derive(Parser)]
#[command(
    about = "Measures the webhook-dispatcher beside a bare loop, and the gateway beside a simulated WhatsApp, and the API's index"
)]
struct BenchmarkArguments {
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
    /// 1 to 16 dispatchers with a receiver that takes 100 ms.
    Scaling,
    /// Of a dispatcher after a million deliveries.
    Memory,
    /// 1, 100, 1,000 and 10,000 endpoints, idle and delivering.
    Endpoints,
    /// 100 endpoints of which one hangs: what the others notice.
    Neighbours,
    /// Fresh events beside 100,000 waiting retries.
    Waiting,
    /// The API's search index: catching up, and its lists with so many events and attempts.
    Index {
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
        rows: u64,
    },
    /// Messages a second, WhatsApp → EVENTS, through one gateway.
    Inbound,
    /// Messages a second of one contact, of one group and of 100 contacts, beside whatsmeow.
    Chats,
    /// A message's cost with the session's keys in SQLite and in NATS.
    Stores,
    /// Many sessions in one gateway: start, memory, CPU.
    Sessions {
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..=5_000))]
        count: u16,
    },
    /// A gateway's memory over two hours' worth of mixed events.
    Growth,
    /// The bare loop itself; started by the others.
    #[command(hide = true)]
    Raw { nats: String, webhook: String },
}

fn main() -> anyhow::Result<()> {
    let arguments = BenchmarkArguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(arguments))
}

async fn measure(BenchmarkArguments { only, rounds, events }: BenchmarkArguments) -> anyhow::Result<()> {
    match only {
        Some(Measurement::Raw { nats, webhook }) => raw::run(&nats, &webhook).await,
        Some(Measurement::Inbound) => inbound::measure(&gateway_binary()?, rounds).await,
        Some(Measurement::Index { rows }) => search_index::measure(&api_binary()?, rows).await,
        Some(Measurement::Chats) => chats::measure(&gateway_binary()?, rounds).await,
        Some(Measurement::Stores) => stores::measure(&gateway_binary()?, rounds).await,
        Some(Measurement::Sessions { count }) => sessions::measure(&gateway_binary()?, count.into()).await,
        Some(Measurement::Growth) => growth::measure(&gateway_binary()?).await,
        Some(Measurement::Latency) => latency::measure(&dispatcher_binary()?).await,
        Some(Measurement::Scaling) => scaling::measure(&dispatcher_binary()?).await,
        Some(Measurement::Memory) => memory::measure(&dispatcher_binary()?).await,
        Some(Measurement::Endpoints) => endpoints::measure(&dispatcher_binary()?).await,
        Some(Measurement::Neighbours) => neighbours::measure(&dispatcher_binary()?, rounds).await,
        Some(Measurement::Waiting) => waiting::measure(&dispatcher_binary()?).await,
        Some(Measurement::Throughput) => throughput::measure(&dispatcher_binary()?, rounds, events).await,
        None => {
            let (gateway, dispatcher, api) = (gateway_binary()?, dispatcher_binary()?, api_binary()?);
            inbound::measure(&gateway, rounds).await?;
            chats::measure(&gateway, rounds).await?;
            stores::measure(&gateway, rounds).await?;
            sessions::measure(&gateway, 100).await?;
            growth::measure(&gateway).await?;
            search_index::measure(&api, 1_000_000).await?;
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
