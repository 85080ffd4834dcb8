//! The commands of the README, run as a new user runs them.

use kurir_test_harness::{Port, binaries::repository, until};
use std::{
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
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
        let mut command = Command::new("make");
        command.args(["--no-print-directory", "demo"]).current_dir(repository());
        // A make or a cargo around this test must not reach the one that is tested.
        for variable in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "WEBHOOK_URL", "API_KEY", "NATS_URL", "ONCE"] {
            command.env_remove(variable);
        }
        for (variable, port) in ["PORT", "NATS_PORT", "SIMULATOR_PORT", "RECEIVER_PORT"].into_iter().zip(&ports) {
            command.env(variable, port.number().to_string());
        }
        if once {
            command.env("ONCE", "1");
        }
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
    let message = said
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|body| body["event"] == "message.received")
        .unwrap_or_else(|| panic!("no message.received on a line of its own:\n{said}"));
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
