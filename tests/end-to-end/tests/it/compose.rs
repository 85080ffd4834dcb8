//! The compose files as they are: images built, containers up, a message arrives, all gone afterwards.
//!
//! Runs where a Docker Engine does, with binaries that are built already; says aloud where it does not run.

use kurir_test_harness::{
    Port, TestAuthority,
    binaries::{binary, repository},
    http, until,
};
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::Mutex;

const PROGRAMS: [&str; 6] = [
    "kurir",
    "kurir-api",
    "kurir-gateway",
    "kurir-gateway-for-simulator",
    "kurir-webhook-dispatcher",
    "whatsapp-simulator",
];
/// What the images and containers read of the repository.
const FILES: [&str; 5] = [
    "Dockerfile",
    "deploy/nats/cluster.conf",
    "deploy/nats/nats-server.conf",
    "deploy/nats/protected.conf",
    "deploy/nats/users.conf",
];
const KEY: &str = "key-of-the-test-of-the-compose-file";
const UP_WITHIN: Duration = Duration::from_secs(90);

/// What this test made, taken away again however it ends.
struct Compose {
    /// `docker-compose`, or the plugin `docker compose`.
    program: &'static [&'static str],
    project: String,
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    /// Files of deploy/compose that are added to docker-compose.yml.
    added: &'static [&'static str],
    ports: [Port; 2],
    stand_ins: Vec<String>,
}

/// Held by the test that runs containers: the images of all have the same names.
static ENGINE: Mutex<()> = Mutex::const_new(());

impl Compose {
    /// None, and a line that says why, where it cannot run.
    fn prepare(added: &'static [&'static str], environment: Vec<(&'static str, String)>) -> Option<Self> {
        let program = compose_program().filter(|_| works("docker", &["info"]));
        let Some(program) = program else {
            eprintln!("SKIPPED: no Docker Engine with docker-compose here, so the compose files were not run");
            return None;
        };
        let found = Command::new("python3").arg(repository().join("deploy/nats/fetch.py")).output().unwrap();
        let nats = String::from_utf8(found.stdout).unwrap();
        let script = repository().join("tests/end-to-end/stand-in-images.sh");
        let made = docker(script.to_str().unwrap()).arg(nats.trim()).output().unwrap();
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr).into_owned();
            eprintln!("SKIPPED: the base images can be neither pulled nor made: {why}");
            return None;
        }
        let ports = [(); 2].map(|()| Port::reserve());
        let mut settings = vec![
            ("BIN_STAGE", "prebuilt".to_owned()),
            // The stand-in of Debian has no apt-get.
            ("API_BASE", "base".to_owned()),
            ("API_KEY", KEY.to_owned()),
            ("KURIR_IMAGES", "kurir".to_owned()),
            ("KURIR_VERSION", "test".to_owned()),
            ("PORT", ports[0].number().to_string()),
            ("SIMULATOR_PORT", ports[1].number().to_string()),
        ];
        settings.extend(environment);
        let compose = Self {
            program,
            project: format!("kurir-test-{}-{}", std::process::id(), added.len()),
            folder: tempfile::tempdir().unwrap(),
            environment: settings,
            added,
            ports,
            stand_ins: String::from_utf8(made.stdout).unwrap().lines().map(str::to_owned).collect(),
        };
        context(compose.folder.path());
        compose.must(&["build"]);
        Some(compose)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let settings = repository().join("deploy/simulator.env");
        let mut command = docker(self.program[0]);
        command.args(&self.program[1..]).args(["-p", &self.project, "-f"]).arg(repository().join("docker-compose.yml"));
        for file in self.added {
            command.arg("-f").arg(repository().join("deploy/compose").join(file));
        }
        command.arg("--project-directory").arg(self.folder.path());
        command.arg("--env-file").arg(settings).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }

    #[track_caller]
    fn must(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{arguments:?}: {}\n{said}", done.status);
        said
    }

    async fn wait_connected(&self, client: &Client, scheme: &str) {
        let status = format!("{scheme}://{}/api/whatsapp/status", self.ports[0].addr());
        until("the session to be connected", UP_WITHIN, || async {
            let answer = client.get(&status).header("X-API-Key", KEY).send().await.map_err(|e| e.to_string())?;
            let body: Value = answer.json().await.map_err(|e| e.to_string())?;
            if body["data"]["isConnected"] == true { Ok(()) } else { Err(body.to_string()) }
        })
        .await;
    }

    /// A contact writes, and the receiver prints the event.
    async fn bring(&self, client: &Client, text: &str) {
        let contact = format!("http://{}/contacts/6281234567890/messages", self.ports[1].addr());
        client.post(contact).json(&json!({"text": text})).send().await.unwrap().error_for_status().unwrap();
        until("the receiver to print the message", UP_WITHIN, || async {
            let logs = self.must(&["logs", "--no-color", "receiver"]);
            if logs.contains(text) { Ok(()) } else { Err(logs) }
        })
        .await;
    }

    async fn wait_healthy(&self, containers: usize) {
        let project = self.label();
        until(format!("{containers} containers to be healthy"), UP_WITHIN, || async {
            let filters = ["ps", "--filter", &project, "--filter", "health=healthy", "-q"];
            let healthy = docker("docker").args(filters).output().unwrap();
            let healthy = String::from_utf8_lossy(&healthy.stdout).split_whitespace().count();
            if healthy == containers { Ok(()) } else { Err(healthy) }
        })
        .await;
    }

    fn label(&self) -> String {
        format!("label=com.docker.compose.project={}", self.project)
    }
}

/// `docker-compose` or the plugin.
fn compose_program() -> Option<&'static [&'static str]> {
    const PROGRAMS: [&[&str]; 2] = [&["docker-compose"], &["docker", "compose"]];
    PROGRAMS.into_iter().find(|program| works(program[0], &[&program[1..], &["version"]].concat()))
}

impl Drop for Compose {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", String::from_utf8_lossy(&self.run(&["logs", "--no-color", "--tail", "40"]).stdout));
        }
        self.run(&["down", "-v", "--remove-orphans", "-t", "5"]);
        let images = docker("docker").args(["images", "-q", "kurir/*"]).output().map(|o| o.stdout).unwrap_or_default();
        let images = String::from_utf8_lossy(&images).into_owned();
        let own = images.split_whitespace().map(str::to_owned).chain(self.stand_ins.drain(..));
        let _ = docker("docker").args(["image", "rm", "-f"]).args(own).output();
    }
}

/// Debian's own client knows BuildKit where a second one on PATH may not.
fn docker(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", format!("/usr/bin:{}", std::env::var("PATH").unwrap_or_default()));
    command.env("DOCKER_BUILDKIT", "1").env("COMPOSE_DOCKER_CLI_BUILD", "1");
    command
}

fn works(program: &str, arguments: &[&str]) -> bool {
    docker(program).args(arguments).output().is_ok_and(|done| done.status.success())
}

/// The build context: what the Dockerfile copies, with programs that are built already and stripped.
fn context(folder: &Path) {
    let dist = folder.join("target/dist");
    fs::create_dir_all(&dist).unwrap();
    fs::create_dir_all(folder.join("deploy/nats")).unwrap();
    for file in FILES {
        fs::copy(repository().join(file), folder.join(file)).unwrap();
    }
    for program in PROGRAMS {
        let copy = dist.join(program);
        fs::copy(binary(program), &copy).unwrap();
        // Smaller, so that the copy into the image is quick; where there is no `strip` it works as well.
        let _ = Command::new("strip").arg(&copy).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compose_file_brings_a_message_to_the_receiver() {
    let _engine = ENGINE.lock().await;
    let Some(compose) = Compose::prepare(&[], Vec::new()) else { return };
    compose.must(&["up", "-d", "--scale", "webhook-dispatcher=3"]);
    let client = http::client();
    compose.wait_connected(&client, "http").await;
    compose.bring(&client, "through containers").await;

    let running = compose.must(&["ps", "-q", "webhook-dispatcher"]);
    assert_eq!(running.split_whitespace().count(), 3, "{running}");
    // NATS, gateway, api and three dispatchers; the two of the demo have no health check.
    compose.wait_healthy(6).await;
    let logs = compose.must(&["logs", "--no-color", "gateway"]);
    assert!(logs.contains("ready"), "{logs}");

    // NATS asks for a password, and only the services reach it.
    let varz = compose.must(&["exec", "-T", "nats", "wget", "-q", "-O", "-", "http://127.0.0.1:8222/varz"]);
    assert!(varz.contains("\"auth_required\": true"), "{varz}");
    let stranger =
        compose.run(&["exec", "-T", "receiver", "wget", "-q", "-T", "5", "-O", "-", "http://nats:8222/healthz"]);
    assert!(!stranger.status.success(), "the receiver reaches NATS");
    // Nothing is published beyond this machine.
    let project = compose.label();
    let containers = docker("docker").args(["ps", "--filter", &project, "--format", "{{.Ports}}"]).output().unwrap();
    let published = String::from_utf8(containers.stdout).unwrap();
    let beyond: Vec<_> = published.split([',', '\n']).filter(|port| port.contains("->")).collect();
    assert!(!beyond.is_empty() && beyond.iter().all(|port| port.trim().starts_with("127.0.0.1:")), "{published}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_and_https_bring_messages_while_a_node_is_dead() {
    let _engine = ENGINE.lock().await;
    let authority = TestAuthority::new();
    let (certificate, key) = authority.issue(&["127.0.0.1"], |_| {});
    let tls = tempfile::tempdir().unwrap();
    fs::write(tls.path().join("cert.pem"), certificate.pem()).unwrap();
    fs::write(tls.path().join("key.pem"), key.serialize_pem()).unwrap();
    open_to_services(tls.path());
    let folder = tls.path().to_str().unwrap().to_owned();
    let Some(compose) = Compose::prepare(&["cluster.yml", "tls.yml"], vec![("TLS_FOLDER", folder)]) else { return };
    compose.must(&["up", "-d"]);
    let root = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([root]).no_proxy().build().unwrap();
    compose.wait_connected(&client, "https").await;
    compose.bring(&client, "through three nodes").await;
    // Three nodes, gateway, api and dispatcher. The health of the API is asked for over HTTPS.
    compose.wait_healthy(6).await;

    for node in ["nats-2", "nats-3", "nats"] {
        compose.must(&["kill", "-s", "KILL", node]);
        compose.bring(&client, &format!("without {node}")).await;
        compose.must(&["up", "-d", node]);
        compose.wait_healthy(6).await;
    }
}

/// Lets others than the owner read a folder: the services have a user of their own.
fn open_to_services(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_cluster_fits_onto_the_compose_file() {
    let Some(program) = compose_program() else {
        eprintln!("SKIPPED: no docker-compose here, so the compose file of the cluster was not read");
        return;
    };
    let files = ["-f", "docker-compose.yml", "-f", "deploy/compose/cluster.yml", "config"];
    let mut command = docker(program[0]);
    let read = command.args(&program[1..]).args(files).env("API_KEY", KEY).current_dir(repository()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let config = String::from_utf8(read.stdout).unwrap();
    let all = "nats://nats:4222,nats://nats-2:4222,nats://nats-3:4222";
    assert_eq!(config.matches(all).count(), 3, "each service knows all nodes: {config}");
    assert_eq!(config.matches("/etc/nats/cluster.conf").count(), 3, "{config}");
}
