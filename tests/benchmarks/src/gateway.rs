//! A gateway that is paired with a simulated WhatsApp, beside a NATS of its own: as it is released, but for the
//! certificate that it trusts.

use crate::contestant::{Usage, usage};
use anyhow::Context as _;
use async_nats::jetstream::stream::Stream;
use kurir_contract::stream;
use kurir_test_harness::{Nats, Process, stack::Simulator};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// All start within a second; this is for a machine that compiles beside them.
const SOON: Duration = Duration::from_secs(60);
/// How often figures are looked at while something is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The dropped first is stopped first.
pub struct Paired {
    pub gateway: Process,
    pub simulator: Simulator,
    pub nats: Nats,
    events: Stream,
}

/// What the three have used.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub gateway: Usage,
    pub simulator: Usage,
    pub nats: Usage,
}

/// Builds the gateway for the simulator and the simulator as they are released; gives the gateway's path.
pub fn gateway_binary() -> anyhow::Result<PathBuf> {
    const NAME: &str = "kurir-gateway-for-simulator";
    let own = std::env::current_exe().context("failed to find the benchmark's own path")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let gateway = ["-p", "kurir-gateway", "--bin", NAME, "--features", "kurir-gateway/simulator"];
        let all = ["build", "--release"].into_iter().chain(gateway).chain(["-p", "whatsapp-simulator"]);
        let built = Command::new(cargo).args(all).arg("--bin").arg("whatsapp-simulator").status();
        anyhow::ensure!(built.context("failed to start cargo")?.success(), "failed to build {NAME}");
    }
    let beside = own.with_file_name(NAME);
    anyhow::ensure!(beside.is_file(), "{NAME} is not beside {}: run `cargo run --release`", own.display());
    Ok(beside)
}

impl Paired {
    pub async fn start(gateway: &Path) -> anyhow::Result<Self> {
        let nats = Nats::start().await;
        let simulator = Simulator::start(true).await;
        let settings = [("NATS_URL", nats.url()), ("WHATSAPP_URL", simulator.websocket_url())];
        let mut gateway = Process::spawn("gateway", gateway, settings);
        gateway.wait_ready(SOON).await;
        let begun = Instant::now();
        while !is_connected(&simulator.get("/accounts").await) {
            anyhow::ensure!(begun.elapsed() < SOON, "the gateway was not paired within {SOON:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let events = nats.jetstream().await.get_stream(stream::EVENTS).await.context("failed to find EVENTS")?;
        Ok(Self { gateway, simulator, nats, events })
    }

    /// Lets `contacts` write so many texts, as fast as they are taken, and gives how long it took until all were stored.
    pub async fn load(&mut self, messages: u64, contacts: u64) -> anyhow::Result<Duration> {
        let before = self.stored().await?;
        let begun = Instant::now();
        self.simulator.post("/load", json!({"messages": messages, "rate": 100_000, "contacts": contacts})).await;
        self.wait_for(before + messages, Duration::from_secs(600)).await?;
        Ok(begun.elapsed())
    }

    /// Waits until EVENTS holds so many.
    pub async fn wait_for(&mut self, events: u64, within: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let stored = self.stored().await?;
            if stored >= events {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < within, "{stored} events of {events} were stored within {within:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How many events are stored.
    pub async fn stored(&mut self) -> anyhow::Result<u64> {
        Ok(self.events.info().await.context("failed to look at EVENTS")?.state.messages)
    }

    pub fn used(&mut self) -> anyhow::Result<Used> {
        Ok(Used {
            gateway: usage(self.gateway.id())?,
            simulator: usage(self.simulator.process.id())?,
            nats: usage(self.nats.process().id())?,
        })
    }
}

fn is_connected(accounts: &Value) -> bool {
    accounts.pointer("/0/devices/0/connected").and_then(Value::as_bool) == Some(true)
}
