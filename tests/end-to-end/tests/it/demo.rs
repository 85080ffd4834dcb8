//! The commands of the README, run as a new user runs them.

use kurir_test_harness::{
    Port, Process, Receiver, binaries,
    binaries::repository,
    http,
    stack::{SOON, Simulator},
    until,
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

/// A build, if one was not made before, 60 s of demo, and a busy machine.
const ENDED_WITHIN: Duration = Duration::from_secs(600);

/// `make demo` in a process group of its own, as a terminal would run it.
struct Demo {
    make: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    ports: [Port; 4],
}

impl Demo {
    fn start(once: bool) -> Self {
        Self::on([(); 4].map(|()| Port::reserve()), once)
    }

    fn on(ports: [Port; 4], once: bool) -> Self {
        Self::with(ports, once, &[])
    }

    /// With settings of the user's own in the environment.
    fn with(ports: [Port; 4], once: bool, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new("make");
        command.args(["--no-print-directory", "demo"]).current_dir(repository());
        // A make or a cargo around this test must not reach the one that is tested.
        for variable in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "WEBHOOK_URL", "API_KEY", "NATS_URL", "ONCE", "HOST"] {
            command.env_remove(variable);
        }
        for (variable, port) in ["PORT", "NATS_PORT", "SIMULATOR_PORT", "RECEIVER_PORT"].into_iter().zip(&ports) {
            command.env(variable, port.number().to_string());
        }
        if once {
            command.env("ONCE", "1");
        }
        command.envs(settings.iter().copied());
        let mut make = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(make.stdout.take().unwrap()), Box::new(make.stderr.take().unwrap())];
        let readers = outputs.map(|output| listen(output, Arc::clone(&said))).into();
        Self { make, said, readers, ports }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// What Ctrl-C does: the signal goes to the whole group.
    fn interrupt(&self) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -s INT -- -{}", self.make.id())).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, and sees that nothing is left.
    async fn ended(&mut self) -> ExitStatus {
        let status = self.wait().await;
        for port in &self.ports {
            assert!(!answers(port.addr()), "something still listens on {}", port.addr());
        }
        status
    }

    async fn wait(&mut self) -> ExitStatus {
        let (make, said) = (&mut self.make, &self.said);
        let status = until("make demo to end", ENDED_WITHIN, || {
            let status = make.try_wait().unwrap().ok_or_else(|| said.lock().unwrap().clone());
            async { status }
        })
        .await;
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.make.try_wait(), Ok(None)) {
            self.interrupt();
            let _ = self.make.wait();
        }
    }
}

fn listen(mut output: Box<dyn std::io::Read + Send>, said: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            said.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    })
}

fn answers(addr: SocketAddr) -> bool {
    TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn make_demo_shows_a_message_arriving_and_ends_when_asked_to_run_once() {
    let mut demo = Demo::start(true);
    let status = demo.ended().await;
    let said = demo.said();
    assert!(status.success(), "{status}\n{said}");
    let event = said.split_once("\n{\n").and_then(|(_, rest)| rest.split_once("\n}\n"));
    let (event, _) = event.unwrap_or_else(|| panic!("no event on lines of its own:\n{said}"));
    let message: serde_json::Value = serde_json::from_str(&format!("{{{event}}}")).unwrap();
    assert_eq!(message["event"], "message.received");
    assert_eq!(message["data"]["messageType"], "text");
}

#[tokio::test(flavor = "multi_thread")]
async fn make_demo_stays_up_until_ctrl_c_and_leaves_nothing_behind() {
    let mut demo = Demo::start(false);
    until("the lines to try", ENDED_WITHIN, || async {
        let said = demo.said();
        if said.contains("Ctrl-C stops it") { Ok(()) } else { Err(said) }
    })
    .await;
    assert!(demo.ports.iter().all(|port| answers(port.addr())), "a part does not listen");
    // A QR code links an account: it is shown by the API to whoever has the key, and nowhere else.
    assert!(!demo.said().contains("qrCode") && !demo.said().contains("demo-key"), "{}", demo.said());
    // The lines that it prints work.
    for line in demo.said().lines().map(str::trim).filter(|line| line.starts_with("curl ")) {
        let answer = Command::new("sh").arg("-c").arg(format!("{line} -sS --fail-with-body")).output().unwrap();
        assert!(answer.status.success(), "{line}\n{}", String::from_utf8_lossy(&answer.stdout));
    }
    demo.interrupt();
    demo.ended().await;
    let said = demo.said();
    assert!(!said.contains("was killed") && !said.contains("Traceback"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_a_clear_error() {
    let ports = [(); 4].map(|()| Port::reserve());
    let (number, taken) = (ports[0].number(), ports[0].listen());
    let mut demo = Demo::on(ports, true);
    let status = demo.wait().await;
    drop(taken);
    let said = demo.said();
    assert!(!status.success(), "{said}");
    assert!(said.contains(&format!("port {number} is taken")) && said.contains("PORT="), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn make_demo_hands_settings_on_and_delivers_to_a_tool_on_this_machine() {
    let mut tool = Receiver::start().await;
    let (url, secret) = (tool.url(), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    let settings = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_SECRET", secret)];
    let mut demo = Demo::with([(); 4].map(|()| Port::reserve()), false, &settings);
    until("the lines to try", ENDED_WITHIN, || async {
        let said = demo.said();
        if said.contains("Ctrl-C stops it") { Ok(()) } else { Err(said) }
    })
    .await;
    let is_message = |request: &kurir_test_harness::Request| request.json()["event"] == "message.received";
    let message = until("the message at the tool", SOON, || async {
        tool.requests().into_iter().find(is_message).ok_or_else(|| demo.said())
    })
    .await;
    assert!(message.header("webhook-signature").starts_with("v1,"), "WEBHOOK_SECRET did not reach the dispatcher");
    demo.interrupt();
    demo.ended().await;
    tool.stop().await;
}

/// What a nats-server answers to a client that shows no password.
fn greet_nats(addr: SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while !["PONG", "-ERR"].iter().any(|end| String::from_utf8_lossy(&said).contains(end)) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "NATS said {}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(said).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn make_up_protects_nats_and_keeps_its_secrets_in_env() {
    // A project of its own: the script, a .env, and programs of which the gateway trusts the simulator.
    let project = tempfile::tempdir().unwrap();
    let at = |path: &str| project.path().join(path);
    for folder in ["deploy/demo", "deploy/nats", "programs"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::copy(repository().join("deploy/demo/run.py"), at("deploy/demo/run.py")).unwrap();
    for file in
        ["fetch.py", "nats-server.conf", "protected.conf", "users.conf"].map(|name| format!("deploy/nats/{name}"))
    {
        fs::copy(repository().join(&file), at(&file)).unwrap();
    }
    for (program, built) in [
        ("kurir-api", "kurir-api"),
        ("kurir-webhook-dispatcher", "kurir-webhook-dispatcher"),
        ("kurir-gateway", "kurir-gateway-for-simulator"),
    ] {
        symlink(binaries::binary(built), at("programs").join(program)).unwrap();
    }
    let found = Command::new("python3").arg(repository().join("deploy/nats/fetch.py")).output().unwrap();
    symlink(String::from_utf8(found.stdout).unwrap().trim(), at("programs/nats-server")).unwrap();
    // The last line has no end: what is added must not become a part of it.
    fs::write(at(".env"), "CORS_ORIGIN=https://example.org").unwrap();
    let simulator = Simulator::start(false).await;
    let (api, nats) = (Port::reserve(), Port::reserve());
    let path = format!("{}:{}", at("programs").display(), std::env::var("PATH").unwrap_or_default());
    let mut up = Process::spawn_with_arguments(
        "make up",
        "python3",
        [at("deploy/demo/run.py").display().to_string(), "up".to_owned()],
        [
            ("PATH", path),
            ("KURIR_BIN_DIR", at("programs").display().to_string()),
            ("PORT", api.number().to_string()),
            ("NATS_PORT", nats.number().to_string()),
            ("WHATSAPP_URL", simulator.websocket_url()),
        ],
    );
    up.wait_for_line(|line| line.contains("The API listens on 127.0.0.1:"), ENDED_WITHIN).await;

    let env = fs::read_to_string(at(".env")).unwrap();
    let value = |name: &str| {
        let line = env.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {env}"));
        line.to_owned()
    };
    assert_eq!(value("CORS_ORIGIN="), "https://example.org");
    assert!(value("API_KEY=").len() >= 32 && value("NATS_PASSWORD=").len() >= 32);
    assert_eq!(fs::metadata(at(".env")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(greet_nats(nats.addr()).contains("Authorization Violation"));
    let status = format!("http://{}/api/whatsapp/status", api.addr());
    let request =
        http::client().get(status).header("X-API-Key", value("API_KEY=")).header("Origin", "https://example.org");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://example.org");
    up.terminate(ENDED_WITHIN).await;
}
