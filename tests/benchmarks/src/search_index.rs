//! The API's search index: how fast it catches up with the streams, and how long lists and searches take when it is full.
//!
//! The goals: 20,000 events a second, and 100 ms for 95 of 100 answers with 1,000,000 events and 1,000,000 attempts. The
//! events are as mixed as a gateway's: texts, receipts, and rare types in a session that has few of them.

use crate::{
    contestant::usage,
    search_index_data::{IndexRows, QUERIES},
    stage::quantile,
};
use anyhow::Context as _;
use kurir_test_harness::{Nats, Port, Process};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(60);
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Of each query, with other values each time.
const REQUESTS: usize = 40;
const KEY: &str = "benchmark-key-0123456789";

/// Builds the API as for a release, and returns its path.
pub fn api_binary() -> anyhow::Result<PathBuf> {
    const NAME: &str = "kurir-api";
    let beside = std::env::current_exe().context("failed to find the benchmark's own path")?.with_file_name(NAME);
    if let Some(cargo) = std::env::var_os("CARGO") {
        let built = Command::new(cargo).args(["build", "--release", "-p", NAME, "--bin", NAME]).status();
        anyhow::ensure!(built.context("failed to start cargo")?.success(), "failed to build {NAME}");
    }
    anyhow::ensure!(beside.is_file(), "{NAME} is not beside {}: run `cargo run --release`", beside.display());
    Ok(beside)
}

pub async fn measure(api: &Path, rows: u64) -> anyhow::Result<()> {
    println!("\nindex: {rows} events and {rows} attempts; catching up, then each list {REQUESTS} times, milliseconds");
    let nats = Nats::start().await;
    let port = Port::reserve();
    let settings = [
        ("NATS_URL", nats.url()),
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", port.number().to_string()),
        ("API_KEY", KEY.to_owned()),
        ("LOG_FILE", String::new()),
    ];
    // Its first start makes the streams.
    let mut process = Process::spawn("api", api, settings);
    process.wait_ready(SOON).await;
    process.terminate(SOON).await;
    let filled = IndexRows::fill(&nats.jetstream().await, rows).await?;

    process.start_again();
    let begun = Instant::now();
    process.wait_ready(SOON).await;
    let client = ApiClient::new(format!("http://{}", port.addr()))?;
    let mut events_after = None;
    let all_after = loop {
        let index = client.get("/api/index").await?;
        if events_after.is_none() && read_of(&index, "EVENTS").is_some_and(|read| read >= rows) {
            events_after = Some(begun.elapsed());
        }
        if index.pointer("/data/caughtUp").and_then(Value::as_bool) == Some(true) {
            break begun.elapsed();
        }
        anyhow::ensure!(begun.elapsed() < CAUGHT_UP_WITHIN, "not caught up within {CAUGHT_UP_WITHIN:?}: {index}");
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let used = usage(process.id())?;
    let per_second = |took: Duration| rows as f64 / took.as_secs_f64();
    println!(
        "caught up: events {:.0} a second, events and attempts {:.0} rows a second; {:.1} µs CPU for each row, {:.0} MB",
        per_second(events_after.unwrap_or(all_after)),
        2.0 * per_second(all_after),
        used.cpu.as_secs_f64() * 1e6 / (2 * rows) as f64,
        used.rss_megabytes
    );

    println!("{:>62}  {:>7}  {:>7}  {:>7}", "list", "p50", "p95", "max");
    let mut slow = 0;
    for query in QUERIES {
        let mut took = Vec::with_capacity(REQUESTS);
        for number in 0..REQUESTS {
            let path = filled.path(query, number);
            let begun = Instant::now();
            client.get(&path).await?;
            took.push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        took.sort_by(f64::total_cmp);
        let at = |part: f64| quantile(&took, part);
        slow += usize::from(at(0.95) > 100.0);
        println!("{query:>62}  {:>7.1}  {:>7.1}  {:>7.1}", at(0.5), at(0.95), at(1.0));
    }
    println!("{slow} of {} lists take more than 100 ms at the 95th percentile", QUERIES.len());
    Ok(())
}

/// How far a stream is read.
fn read_of(index: &Value, stream: &str) -> Option<u64> {
    let streams = index.pointer("/data/streams")?.as_array()?;
    streams.iter().find(|one| one["stream"] == stream)?["read"].as_u64()
}

struct ApiClient {
    http: reqwest::Client,
    base: String,
}

impl ApiClient {
    fn new(base: String) -> anyhow::Result<Self> {
        // Another measurement in this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self { http: reqwest::Client::builder().timeout(SOON).build()?, base })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.base)).header("X-API-Key", KEY);
        let answer = request.send().await.with_context(|| format!("failed to get {path}"))?;
        let (status, body) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status.is_success(), "{path}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    }
}
