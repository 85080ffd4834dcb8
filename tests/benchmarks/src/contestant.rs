//! A measured process: its CPU time and its memory.

use anyhow::Context as _;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Signs every request of a dispatcher that is measured.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

/// Ticks of /proc in a second; fixed at 100 on Linux (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// The two programs that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContestantKind {
    Raw,
    Dispatcher,
}

impl ContestantKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "the bare loop",
            Self::Dispatcher => "the dispatcher",
        }
    }

    /// The name of its durable consumer on EVENTS.
    pub fn consumer(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Dispatcher => "webhook-default",
        }
    }
}

/// Builds the dispatcher as for a release, and returns its path.
pub fn dispatcher_binary() -> anyhow::Result<PathBuf> {
    const NAME: &str = "kurir-webhook-dispatcher";
    let own = std::env::current_exe().context("failed to find the benchmark's own path")?;
    let beside = own.with_file_name(NAME);
    // Without cargo, the dispatcher in the same folder is used as it is.
    if let Some(cargo) = std::env::var_os("CARGO") {
        let built = Command::new(cargo).args(["build", "--release", "-p", NAME, "--bin", NAME]).status();
        anyhow::ensure!(built.context("failed to start cargo")?.success(), "failed to build {NAME}");
    }
    anyhow::ensure!(beside.is_file(), "{NAME} is not beside {}: run `cargo run --release`", own.display());
    Ok(beside)
}

/// A running contestant. A drop kills it.
pub struct Contestant {
    child: Child,
    /// Its working folder, with its log.
    folder: TempDir,
}

/// The resources that a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceUsage {
    pub cpu: Duration,
    pub rss_megabytes: f64,
}

impl Contestant {
    /// Starts a contestant. The dispatcher has its defaults and signs; it logs to a terminal, here a file, and to its log file.
    pub fn start(kind: ContestantKind, dispatcher: &Path, nats: &str, webhook: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        let mut command = match kind {
            ContestantKind::Raw => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["raw", nats, webhook]);
                command
            }
            ContestantKind::Dispatcher => {
                let mut command = Command::new(dispatcher);
                command.env("NATS_URL", nats).env("WEBHOOK_URL", webhook);
                command.env("WEBHOOK_SECRET", SECRET).env("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8");
                // What is measured may be stored before the dispatcher starts.
                command.env("WEBHOOK_START", "all");
                command
            }
        };
        let terminal = File::create(folder.path().join("terminal")).context("failed to make a file")?;
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(terminal)
            .spawn()
            .with_context(|| format!("failed to start {}", kind.name()))?;
        Ok(Self { child, folder })
    }

    /// Waits until the dispatcher is ready, and returns how long that took.
    pub async fn ready(&self, within: Duration) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let said = std::fs::read_to_string(self.folder.path().join("terminal")).unwrap_or_default();
            if said.lines().any(|line| line == "ready") {
                return Ok(begun.elapsed());
            }
            anyhow::ensure!(begun.elapsed() < within, "not ready within {within:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn usage(&self) -> anyhow::Result<ResourceUsage> {
        usage(self.child.id())
    }
}

/// The resources that any process has used.
pub fn usage(process: u32) -> anyhow::Result<ResourceUsage> {
    let proc = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}"));
    let stat = proc("stat").context("failed to read a process's figures")?;
    // The name in parentheses may contain blanks. After it, user and system time are the 12th and 13th field.
    let fields: Vec<&str> = stat.rsplit_once(") ").map_or(stat.as_str(), |(_, rest)| rest).split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    let status = proc("status").context("failed to read a process's figures")?;
    let kilobytes: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default();
    Ok(ResourceUsage {
        cpu: Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS),
        rss_megabytes: kilobytes / 1024.0,
    })
}

impl Drop for Contestant {
    fn drop(&mut self) {
        // If it has ended by itself, the measurement has failed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
