//! whatsmeow (Go) as a client of the simulated WhatsApp: the peer beside which the gateway is measured.
//!
//! It stores its keys, acknowledges each message, and does nothing else. Its store has the settings that the gateway's has
//! (a write-ahead log, no fsync for each change). It is built from `tests/witnesses/whatsmeow`, which needs Go.

use anyhow::Context as _;
use kurir_test_harness::stack::Simulator;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// It starts within a second; this is enough for a machine that compiles at the same time.
const SOON: Duration = Duration::from_secs(60);
const STORE_OPTIONS: &str = "&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)";

/// Builds the peer, and returns its path. An error says why there is none on this machine.
pub fn whatsmeow_binary() -> anyhow::Result<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = repository.join("target/witnesses/whatsmeow-peer");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(".").current_dir(repository.join("tests/witnesses/whatsmeow"));
    let built = go.output().context("failed to start go")?;
    anyhow::ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr).trim());
    Ok(program)
}

/// A paired client. A drop ends it.
pub struct WhatsmeowPeer {
    process: Child,
    _folder: TempDir,
}

impl WhatsmeowPeer {
    /// Starts it, and waits until it is paired and connected.
    pub async fn start(program: &Path, simulator: &Simulator) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        let mut process = Command::new(program)
            .arg(simulator.url(""))
            .arg(folder.path().join("store"))
            .arg("Peer")
            .env("WITNESS_QUIET", "1")
            .env("WITNESS_STORE_OPTIONS", STORE_OPTIONS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("failed to start whatsmeow")?;
        let output = process.stdout.take().context("it has no output")?;
        let (told, mut events) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // After the start nobody listens, and the output is read all the same.
                let _ = told.send(serde_json::from_str::<Value>(&line).unwrap_or_default());
            }
        });
        writeln!(process.stdin.as_mut().context("it has no input")?, r#"{{"do":"connect"}}"#)?;
        // From here on a drop ends it.
        let peer = Self { process, _folder: folder };
        let begun = Instant::now();
        loop {
            let left = SOON.saturating_sub(begun.elapsed());
            let event = tokio::time::timeout(left, events.recv()).await;
            let event = event.context("whatsmeow was not connected in time")?.context("whatsmeow ended")?;
            match event["event"].as_str() {
                Some("qr") => simulator.scan(event["code"].as_str().unwrap_or_default()).await,
                Some("connected") => return Ok(peer),
                Some("error" | "connect_failure") => anyhow::bail!("whatsmeow failed: {event}"),
                _ => {}
            }
        }
    }
}

impl Drop for WhatsmeowPeer {
    fn drop(&mut self) {
        // If it has ended by itself, the measurement has failed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
