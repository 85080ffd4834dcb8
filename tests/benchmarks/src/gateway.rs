//! A gateway that is paired with a simulated WhatsApp, with its own NATS. It is built as for a release, except that it trusts
//! the simulator's certificate.

use crate::contestant::{ResourceUsage, usage};
use anyhow::Context as _;
use async_nats::jetstream::stream::Stream;
use kurir_contract::{
    command::{Command as GatewayCommand, SendText},
    session::SessionId,
    stream, subject,
};
use kurir_test_harness::{Nats, Process, stack::Simulator};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// All parts start within a second; this is enough for a machine that compiles at the same time.
const SOON: Duration = Duration::from_secs(60);
/// The pause between two checks of a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The deadline of a load, on a machine that does other work at the same time.
const LOADED_WITHIN: Duration = Duration::from_secs(600);
/// If no event arrives in this time, none is on its way.
const QUIET: Duration = Duration::from_secs(1);

/// The id of a load in the simulator.
pub struct LoadId(String);

/// The people who write.
pub enum LoadSenders {
    /// This many people who never wrote before.
    New(u64),
    /// The people of an earlier load.
    OfLoad(LoadId),
}

/// The gateway, the simulator and NATS; a drop stops them in this order.
pub struct PairedGateway {
    pub gateway: Process,
    pub simulator: Simulator,
    pub nats: Nats,
    events: Stream,
}

/// The resources that the three have used.
#[derive(Clone, Copy, Debug)]
pub struct StackUsage {
    pub gateway: ResourceUsage,
    pub simulator: ResourceUsage,
    pub nats: ResourceUsage,
}

/// Builds the gateway for the simulator and the simulator as for a release, and returns the gateway's path.
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

impl PairedGateway {
    pub async fn start(gateway: &Path) -> anyhow::Result<Self> {
        Self::start_with(gateway, &[]).await
    }

    /// As [`PairedGateway::start`], with more settings.
    pub async fn start_with(gateway: &Path, settings: &[(&'static str, &'static str)]) -> anyhow::Result<Self> {
        let nats = Nats::start().await;
        let simulator = Simulator::start(true).await;
        let own = [("SEND_GAP", "0s"), ("NEW_CHATS_PER_DAY", "0")].into_iter().chain(settings.iter().copied());
        let own = own.map(|(variable, value)| (variable, value.to_owned()));
        let settings = [("NATS_URL", nats.url()), ("WHATSAPP_URL", simulator.websocket_url())].into_iter().chain(own);
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

    /// Lets people write texts as fast as the gateway accepts them, and returns how long it took until all were stored.
    pub async fn load(&mut self, messages: u64, whose: &LoadSenders) -> anyhow::Result<(LoadId, Duration)> {
        let before = self.stored().await?;
        let begun = Instant::now();
        let load = self.begin_load(messages, whose).await?;
        self.wait_for(before + messages, LOADED_WITHIN).await?;
        Ok((load, begun.elapsed()))
    }

    /// Stops the gateway and lets people write texts, which WhatsApp keeps.
    pub async fn load_while_away(&mut self, messages: u64, whose: &LoadSenders) -> anyhow::Result<()> {
        self.gateway.terminate(SOON).await;
        let LoadId(id) = self.begin_load(messages, whose).await?;
        let begun = Instant::now();
        while self.simulator.get(&format!("/load/{id}")).await["done"] != true {
            anyhow::ensure!(begun.elapsed() < LOADED_WITHIN, "the texts were not queued within {LOADED_WITHIN:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Starts the gateway again, and returns how long it took until all waiting texts were stored.
    pub async fn catch_up(&mut self, messages: u64) -> anyhow::Result<Duration> {
        let before = self.stored().await?;
        let begun = Instant::now();
        self.gateway.start_again();
        self.wait_for(before + messages, LOADED_WITHIN).await?;
        Ok(begun.elapsed())
    }

    async fn begin_load(&self, messages: u64, whose: &LoadSenders) -> anyhow::Result<LoadId> {
        let load = match whose {
            LoadSenders::New(contacts) => json!({"messages": messages, "rate": 100_000, "contacts": contacts}),
            LoadSenders::OfLoad(LoadId(earlier)) => {
                json!({"messages": messages, "rate": 100_000, "contactsOf": earlier})
            }
        };
        let id = self.simulator.post("/load", load).await["id"].as_str().map(str::to_owned);
        Ok(LoadId(id.context("the simulator began no load")?))
    }

    /// Answers everybody of a load. Before an answer, each message of a person carries the keys for a new session.
    pub async fn answer(&mut self, LoadId(id): &LoadId) -> anyhow::Result<()> {
        let client = self.nats.client().await;
        let load = self.simulator.get(&format!("/load/{id}")).await;
        for contact in load["contacts"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let text = SendText::new(contact.parse().context("a contact is a number")?, "Thank you");
            let request = async_nats::Request::new().payload(serde_json::to_vec(&text)?.into()).timeout(Some(SOON));
            let answer = client
                .send_request(subject::command(&SessionId::default(), GatewayCommand::SendText), request)
                .await?
                .payload;
            anyhow::ensure!(answer.starts_with(b"{\"ok\""), "not sent: {}", String::from_utf8_lossy(&answer));
        }
        // Its receipts are events, too.
        let mut before = 0;
        loop {
            let stored = self.stored().await?;
            if stored == before {
                return Ok(());
            }
            before = stored;
            tokio::time::sleep(QUIET).await;
        }
    }

    /// Waits until EVENTS has this many events.
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

    /// The resources that all three have used; a gateway that does not run has used none.
    pub fn used(&mut self) -> anyhow::Result<StackUsage> {
        let gateway = if self.gateway.is_running() { usage(self.gateway.id())? } else { ResourceUsage::default() };
        Ok(StackUsage {
            gateway,
            simulator: usage(self.simulator.process.id())?,
            nats: usage(self.nats.process().id())?,
        })
    }
}

fn is_connected(accounts: &Value) -> bool {
    accounts.pointer("/0/devices/0/connected").and_then(Value::as_bool) == Some(true)
}
