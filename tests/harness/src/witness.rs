//! Runs clients that nobody here wrote, unchanged but for the address and the trust anchors (`tests/witnesses`).
//!
//! A test installs its client into `target/witnesses`. Where that cannot be done, it says so and passes, unless
//! `KURIR_WITNESSES=required` is set.

#![expect(clippy::unwrap_used, reason = "a fixture that fails panics")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use crate::http;
use serde_json::{Value, json};

/// These clients wait by their own clocks, some for ten seconds and more.
const DEADLINE: Duration = Duration::from_secs(90);

/// The folder of the client's session, in the folder of a [`Witness`].
pub const STORE: &str = "store";

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Installs a client once; none if it cannot be had here.
fn installed(cell: &'static OnceLock<Option<PathBuf>>, install: fn() -> Result<PathBuf, String>) -> Option<PathBuf> {
    cell.get_or_init(|| match install() {
        Ok(path) => Some(path),
        Err(reason) if std::env::var_os("KURIR_WITNESSES").is_some_and(|value| value == "required") => {
            panic!("{reason}")
        }
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    })
    .clone()
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {errors}")) }
}

fn whatsmeow() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    installed(&INSTALLED, || {
        let program = repository().join("target/witnesses/whatsmeow");
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(&program).arg(".").current_dir(repository().join("tests/witnesses/whatsmeow"));
        run(&mut go)?;
        Ok(program)
    })
}

fn baileys() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    installed(&INSTALLED, || {
        let (source, folder) =
            (repository().join("tests/witnesses/baileys"), repository().join("target/witnesses/baileys"));
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut is_new = !folder.join("node_modules/.package-lock.json").exists();
        for name in ["package.json", "package-lock.json", "main.js"] {
            let wanted = std::fs::read(source.join(name)).map_err(|error| error.to_string())?;
            if std::fs::read(folder.join(name)).ok().as_ref() != Some(&wanted) {
                std::fs::write(folder.join(name), wanted).map_err(|error| error.to_string())?;
                is_new |= name != "main.js";
            }
        }
        if is_new {
            run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder))?;
        }
        Ok(folder.join("main.js"))
    })
}

#[derive(Clone, Copy)]
pub enum Client {
    Whatsmeow,
    Baileys,
    /// The line before the newest, which older programs use.
    Baileys6,
}

/// A running client, steered by lines of JSON.
pub struct Witness {
    process: Child,
    commands: ChildStdin,
    events: Arc<Mutex<Vec<Value>>>,
    /// Events that a wait has passed over or taken.
    taken: usize,
}

impl Witness {
    /// Starts the client with this simulator (`http://…`, without a slash at the end). It keeps its session in [`STORE`] in
    /// `folder`. None if the client cannot be had here.
    pub async fn start(client: Client, simulator: &str, folder: &Path) -> Option<Self> {
        // Installing takes minutes the first time, on a thread that may block.
        let program = tokio::task::spawn_blocking(move || match client {
            Client::Whatsmeow => whatsmeow(),
            Client::Baileys | Client::Baileys6 => baileys(),
        });
        let program = program.await.unwrap()?;
        let mut command = match client {
            Client::Whatsmeow => Command::new(&program),
            Client::Baileys | Client::Baileys6 => Command::new("node"),
        };
        if !matches!(client, Client::Whatsmeow) {
            let certificate = folder.join("media.pem");
            let anchors: Value =
                http::client().get(format!("{simulator}/certificate")).send().await.unwrap().json().await.unwrap();
            std::fs::write(&certificate, anchors["mediaCertificate"].as_str().unwrap()).unwrap();
            command.arg(&program).env("NODE_EXTRA_CA_CERTS", certificate);
        }
        if let Client::Baileys6 = client {
            command.env("WITNESS_BAILEYS", "baileys-6");
        }
        let store = folder.join(STORE);
        let mut process = command
            .args([simulator, store.to_str().unwrap(), "Witness"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (lines, sink) = (BufReader::new(process.stdout.take().unwrap()), Arc::clone(&events));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| json!({"event": "noise", "text": line}));
                sink.lock().unwrap().push(event);
            }
        });
        Some(Self { commands: process.stdin.take().unwrap(), process, events, taken: 0 })
    }

    pub fn order(&mut self, command: Value) {
        writeln!(self.commands, "{command}").unwrap();
    }

    /// The next event of this name that fits, after those already taken.
    pub async fn until_fits(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            {
                let events = self.events.lock().unwrap();
                let fresh = &events[self.taken..];
                if let Some(index) = fresh.iter().position(|event| event["event"] == name && fits(event)) {
                    let found = fresh[index].clone();
                    self.taken += index + 1;
                    return found;
                }
                let failed = fresh.iter().find(|event| event["event"] == "error");
                assert!(failed.is_none(), "waiting for {name}: {failed:#?}");
                assert!(begun.elapsed() < DEADLINE, "no {name} came; seen: {events:#?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until(&mut self, name: &str) -> Value {
        self.until_fits(name, |_| true).await
    }

    pub async fn until_text(&mut self, text: &str) -> Value {
        self.until_fits("message", |event| event["text"] == text).await
    }

    /// A receipt for this message, past or to come: one client reports it before its own `sent`.
    pub async fn until_receipt(&mut self, id: &Value) {
        let taken = std::mem::take(&mut self.taken);
        self.until_fits("receipt", |event| event["ids"].as_array().unwrap().contains(id)).await;
        self.taken = self.taken.max(taken);
    }

    /// Connects, shows a QR code, and waits for the first login once `scan` has scanned the code.
    pub async fn pair<T>(&mut self, scan: impl AsyncFnOnce(String) -> T) -> T {
        self.order(json!({"do": "connect"}));
        let code = self.until("qr").await["code"].as_str().unwrap().to_owned();
        let answer = scan(code).await;
        self.until("paired").await;
        self.until("connected").await;
        answer
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
