//! Many sessions in one gateway: how long they take to connect, what an idle one costs, and what each costs after some texts.

use crate::contestant::usage;
use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use kurir_contract::{
    command::{Command, SessionInfo},
    session::SessionId,
    session_record::{SESSIONS_BUCKET, SessionRecord},
    subject,
};
use kurir_test_harness::{Nats, Process, stack::Simulator};
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Sessions that are paired before the measurement: the first one of a process costs more than the others.
const FIRST: usize = 1;
/// Pairing on a machine with two cores takes a second for each session.
const PAIRED_WITHIN: Duration = Duration::from_secs(900);
const CONNECTED_WITHIN: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(30);
const TEXTS: u64 = 100;
/// Sessions that are paired at the same time.
const AT_ONCE: usize = 8;

struct ManySessions {
    gateway: Process,
    simulator: Simulator,
    nats: Nats,
    client: async_nats::Client,
}

pub async fn measure(gateway: &Path, count: usize) -> anyhow::Result<()> {
    println!("\nsessions: {count} in one gateway");
    let mut many = ManySessions::start(gateway).await?;
    many.pair(0..FIRST).await?;
    let one = many.idle().await?;
    many.pair(FIRST..count).await?;

    let begun = Instant::now();
    many.gateway.restart().await;
    many.wait_until_connected(count).await?;
    println!("{count} sessions connected {:.1} s after the start (goal: 500 in 60 s)", begun.elapsed().as_secs_f64());

    let all = many.idle().await?;
    let each = |megabytes: f64| (megabytes - one.0) / (count - FIRST) as f64;
    println!(
        "idle: {:.1} MB with {FIRST}, {:.1} MB with {count}: {:.2} MB for each further one (goal: 1)",
        one.0,
        all.0,
        each(all.0)
    );
    println!("idle: {:.2} % of a core (goal: 1)", all.1);
    many.write_to_all(count).await?;
    let after = many.idle().await?;
    println!("after {TEXTS} texts each: {:.1} MB, {:.2} MB for each further one (goal: 2)", after.0, each(after.0));
    println!(
        "the simulator: {:.1} MB, NATS: {:.1} MB",
        usage(many.simulator.process.id())?.rss_megabytes,
        usage(many.nats.process().id())?.rss_megabytes
    );
    Ok(())
}

fn id(number: usize) -> SessionId {
    let name = if number == 0 { "default".to_owned() } else { format!("session-{number}") };
    name.parse().unwrap_or_default()
}

/// The account of a session.
fn number(number: usize) -> String {
    format!("62811{number:08}")
}

impl ManySessions {
    async fn start(gateway: &Path) -> anyhow::Result<Self> {
        let nats = Nats::start().await;
        let simulator = Simulator::start(false).await;
        let settings = [
            ("NATS_URL", nats.url()),
            ("WHATSAPP_URL", simulator.websocket_url()),
            ("WHATSAPP_SESSION_PATH", "sessions".to_owned()),
            ("SESSION_START_RATE", "50".to_owned()),
            ("LOG_FILE", String::new()),
        ];
        let mut gateway = Process::spawn("gateway", gateway, settings);
        gateway.wait_ready(Duration::from_secs(60)).await;
        let client = nats.client().await;
        Ok(Self { gateway, simulator, nats, client })
    }

    /// Makes the sessions and scans the QR code of each with the phone of an account of its own.
    async fn pair(&self, numbers: std::ops::Range<usize>) -> anyhow::Result<()> {
        let jetstream = self.nats.jetstream().await;
        for session in numbers.clone().filter(|number| *number > 0) {
            let records = jetstream.get_key_value(SESSIONS_BUCKET).await.context("there is no bucket of sessions")?;
            let record = serde_json::to_vec(&SessionRecord::default())?;
            records.put(id(session).as_str(), record.into()).await.context("failed to make a session")?;
        }
        self.client.publish(subject::SESSIONS_CHANGED, "".into()).await.context("failed to announce sessions")?;
        let pairing = stream::iter(numbers).map(|number| self.pair_one(number)).buffer_unordered(AT_ONCE);
        let results: Vec<anyhow::Result<()>> = pairing.collect().await;
        results.into_iter().collect()
    }

    async fn pair_one(&self, session: usize) -> anyhow::Result<()> {
        let (begun, mut scanned) = (Instant::now(), String::new());
        loop {
            anyhow::ensure!(begun.elapsed() < PAIRED_WITHIN, "session {session} was not paired");
            let info = self.status(session).await;
            match info {
                Some(info) if info.is_connected => return Ok(()),
                Some(SessionInfo { qr_code: Some(code), .. }) if code != scanned => {
                    self.simulator.scan_as(&number(session), &code).await;
                    scanned = code;
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn status(&self, session: usize) -> Option<SessionInfo> {
        let subject = subject::command(&id(session), Command::Status);
        let request = async_nats::Request::new().payload("{}".into()).timeout(Some(Duration::from_secs(3)));
        let answer = self.client.send_request(subject, request).await.ok()?.payload;
        let answer: Value = serde_json::from_slice(&answer).ok()?;
        serde_json::from_value(answer["ok"].clone()).ok()
    }

    async fn wait_until_connected(&self, count: usize) -> anyhow::Result<()> {
        let begun = Instant::now();
        for session in 0..count {
            while !self.status(session).await.is_some_and(|info| info.is_connected) {
                anyhow::ensure!(begun.elapsed() < CONNECTED_WITHIN, "session {session} did not connect");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Megabytes, and percent of a core while nothing happens.
    async fn idle(&self) -> anyhow::Result<(f64, f64)> {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let before = usage(self.gateway.id())?;
        tokio::time::sleep(IDLE).await;
        let after = usage(self.gateway.id())?;
        Ok((after.rss_megabytes, (after.cpu - before.cpu).as_secs_f64() / IDLE.as_secs_f64() * 100.0))
    }

    async fn write_to_all(&self, count: usize) -> anyhow::Result<()> {
        for session in 0..count {
            let load = json!({"messages": TEXTS, "rate": 100_000, "contacts": 10, "to": number(session)});
            let id = self.simulator.post("/load", load).await["id"].as_str().map(str::to_owned);
            let id = id.context("the simulator began no load")?;
            let begun = Instant::now();
            while self.simulator.get(&format!("/load/{id}")).await["done"] != true {
                anyhow::ensure!(begun.elapsed() < CONNECTED_WITHIN, "the texts were not taken");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}
