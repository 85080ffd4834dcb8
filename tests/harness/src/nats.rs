//! A nats-server for one test, with the configuration that Kurir ships, and with its own port and store.
//!
//! Stops, kills and starts keep the store and the port; a drop removes them. `KURIR_NATS_SERVER` names the binary; without it
//! `deploy/nats/fetch.py` finds or fetches one.

use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::binaries::repository;
use crate::{Port, Process, until};

/// With 10,000 consumers in its store it takes 5 s.
const STARTED_WITHIN: Duration = Duration::from_secs(30);
/// It stops consumers one after another, 11 ms each: this is enough for 2,500.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
/// Includes a download on a slow line.
const FETCHED_WITHIN: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub struct Nats {
    process: Process,
    port: Port,
    /// Where the other nodes of a cluster reach it.
    _route: Option<Port>,
    /// Nobody may do anything without a login, as in the configuration that Kurir ships.
    needs_login: bool,
}

impl Nats {
    /// Starts it with the users that Kurir ships, and waits until it accepts connections. Who shows no login may do anything:
    /// the test itself.
    pub async fn start() -> Self {
        Self::start_with(repository().join("tests/harness/nats-users.conf")).await
    }

    /// The passwords that the configuration of the users takes from the environment.
    fn passwords() -> [(String, String); 6] {
        ["kurir", "gateway", "webhook-dispatcher", "api", "reader", "cluster"].map(|user| {
            (format!("NATS_{}_PASSWORD", user.to_uppercase().replace('-', "_")), format!("{user}-in-tests"))
        })
    }

    /// What a service needs to log in as the user of this name, with [`Nats::start`].
    #[must_use]
    pub fn login(user: &str) -> [(String, String); 3] {
        [
            ("NATS_USER".to_owned(), user.to_owned()),
            ("NATS_PASSWORD".to_owned(), format!("{user}-in-tests")),
            ("NATS_INBOX_PREFIX".to_owned(), format!("_INBOX_{user}")),
        ]
    }

    /// The lines in which NATS says that a user did what it may not do.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.process.output().lines().filter(|line| line.contains("Violation")).map(str::to_owned).collect()
    }

    /// As [`Nats::start`], with another configuration; address, port and store come by flags.
    pub async fn start_with(configuration: PathBuf) -> Self {
        let mut nats = Self::spawn(configuration, [], Self::passwords().into()).await;
        nats.wait_for_greeting().await;
        nats
    }

    /// Starts a cluster of three with the configuration and the users that Kurir ships, and waits until its nodes accept connections.
    pub async fn start_cluster() -> Vec<Self> {
        Self::start_nodes(&[]).await
    }

    /// As [`Nats::start_cluster`], with nodes that tell no client of each other: who reaches each of them through a cable
    /// has no way around it.
    pub async fn start_cluster_behind_cables() -> Vec<Self> {
        Self::start_nodes(&["--no_advertise"]).await
    }

    async fn start_nodes(more: &[&str]) -> Vec<Self> {
        let routes = [(); 3].map(|()| Port::reserve());
        let mut variables: Vec<_> = Self::passwords().into();
        for (n, port) in (1..).zip(&routes) {
            variables
                .push((format!("NATS_ROUTE_{n}"), format!("nats-route://cluster:cluster-in-tests@{}", port.addr())));
        }
        let mut nodes = Vec::new();
        for (n, port) in (1..).zip(routes) {
            let name = ("NATS_NODE".to_owned(), format!("node-{n}"));
            let variables = variables.iter().cloned().chain([name]).collect();
            let listen = format!("nats://cluster:cluster-in-tests@{}", port.addr());
            let configuration = repository().join("deploy/nats/cluster.conf");
            let own = ["--cluster".into(), listen.into()].into_iter().chain(more.iter().map(OsString::from));
            let node = Self::spawn(configuration, own, variables).await;
            nodes.push(Self { _route: Some(port), needs_login: true, ..node });
        }
        for node in &mut nodes {
            node.wait_for_greeting().await;
        }
        nodes
    }

    /// Waits until all copies of a stream in a cluster are up to date, so that a node may die.
    pub async fn wait_until_copied(&self, stream: &str, deadline: Duration) {
        let jetstream = self.jetstream().await;
        until(&format!("all copies of {stream}"), deadline, || async {
            let stream = jetstream.get_stream(stream).await.map_err(|error| error.to_string())?;
            let cluster = stream.cached_info().cluster.clone().ok_or("no cluster")?;
            if cluster.leader.is_some() && cluster.replicas.iter().filter(|copy| copy.current).count() == 2 {
                Ok(())
            } else {
                Err(format!("{cluster:?}"))
            }
        })
        .await;
    }

    async fn spawn(
        configuration: PathBuf,
        more: impl IntoIterator<Item = OsString>,
        variables: Vec<(String, String)>,
    ) -> Self {
        let binary = server_binary().await;
        let port = Port::reserve();
        let own = [
            "-c".into(),
            configuration.into_os_string(),
            "-a".into(),
            "127.0.0.1".into(),
            "-p".into(),
            port.number().to_string().into(),
            // Relative to the folder that the process has for itself.
            "-sd".into(),
            "store".into(),
        ];
        let arguments: Vec<OsString> = own.into_iter().chain(more).collect();
        let process = Process::spawn_with_arguments("nats-server", binary, arguments, variables);
        Self { process, port, _route: None, needs_login: false }
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.addr())
    }

    /// The server's process: its id, its output.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A new connection that may do anything. It reconnects by itself after a stop or a kill.
    pub async fn client(&self) -> async_nats::Client {
        let options = async_nats::ConnectOptions::new();
        let options =
            if self.needs_login { options.user_and_password("kurir".into(), "kurir-in-tests".into()) } else { options };
        match options.connect(self.url()).await {
            Ok(client) => client,
            Err(problem) => panic!("cannot connect to nats-server: {problem}"),
        }
    }

    /// JetStream over a new connection.
    pub async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.client().await)
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn stop(&mut self) {
        self.process.terminate(STOPPED_WITHIN).await;
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) {
        self.process.kill_9().await;
    }

    /// Starts it again after a stop or a kill, with the same store and port, and waits until it accepts connections.
    pub async fn start_again(&mut self) {
        self.process.start_again();
        self.wait_for_greeting().await;
    }

    /// Pauses it: it keeps its connections and does nothing.
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// Continues after [`Nats::pause`].
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// JetStream runs before the port is open, so the greeting is enough.
    async fn wait_for_greeting(&mut self) {
        let addr = self.addr();
        self.process.wait_for_line(|line| line.ends_with("Server is ready"), STARTED_WITHIN).await;
        until("nats-server's greeting", STARTED_WITHIN, || async {
            let mut greeting = [0; 4];
            let mut stream = TcpStream::connect(addr).await?;
            stream.read_exact(&mut greeting).await?;
            Ok::<_, std::io::Error>(())
        })
        .await;
    }
}

async fn server_binary() -> PathBuf {
    /// Found once, because each search starts a Python process.
    static FOUND: OnceCell<PathBuf> = OnceCell::const_new();
    FOUND
        .get_or_init(|| async {
            match env::var_os("KURIR_NATS_SERVER") {
                Some(path) => path.into(),
                None => fetch_binary().await,
            }
        })
        .await
        .clone()
}

async fn fetch_binary() -> PathBuf {
    let fetch = repository().join("deploy/nats/fetch.py");
    let mut command = Command::new("python3");
    command.arg(&fetch).kill_on_drop(true);
    match tokio::time::timeout(FETCHED_WITHIN, command.output()).await {
        Ok(Ok(done)) if done.status.success() => String::from_utf8_lossy(&done.stdout).trim().into(),
        Ok(Ok(done)) => panic!("no nats-server:\n{}", String::from_utf8_lossy(&done.stderr)),
        Ok(Err(problem)) => panic!("no nats-server: python3 {}: {problem}", fetch.display()),
        Err(_) => panic!("no nats-server: {} took too long", fetch.display()),
    }
}
