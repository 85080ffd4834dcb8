//! All of Kurir as a user runs it; each part is a real process: NATS, simulator, gateway, dispatchers, API, receiver.
//!
//! A test may kill, pause or restart any of them. [`Stack::finish`] ends a test that succeeded: it stops every service as a
//! supervisor does, and checks the exit codes.

mod api;
mod simulator;

pub use api::{Api, KEY};
pub use simulator::Simulator;

use crate::{Nats, NetworkCable, Process, Receiver, binaries::binary, until};
use std::{path::PathBuf, time::Duration};

/// The deadline of anything that takes a second or less on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);
/// Longer than a service's drain.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);

/// The configuration of a stack. Everything has a default.
#[derive(Clone, Debug)]
pub struct StackPlan {
    gateways: usize,
    dispatchers: usize,
    webhooks: bool,
    paired: bool,
    gateway: Vec<(String, String)>,
    dispatcher: Vec<(String, String)>,
    api: Vec<(String, String)>,
    /// Where the services' programs are, instead of those of this build.
    programs: Option<PathBuf>,
    /// Each service is a user of NATS of its own.
    has_users: bool,
    has_cables: bool,
    is_cluster: bool,
}

impl StackPlan {
    /// So many gateways. More than one need `SESSION_STORE=nats`.
    #[must_use]
    pub fn gateways(mut self, count: usize) -> Self {
        self.gateways = count;
        self
    }

    /// NATS is a cluster of three, and every stream has three copies.
    #[must_use]
    pub fn cluster(mut self) -> Self {
        self.is_cluster = true;
        self.services("STREAM_REPLICAS", "3")
    }

    #[must_use]
    pub fn dispatchers(mut self, count: usize) -> Self {
        self.dispatchers = count;
        self
    }

    /// Without `WEBHOOK_URL`.
    #[must_use]
    pub fn without_webhooks(mut self) -> Self {
        self.webhooks = false;
        self
    }

    /// The simulated phone does not scan by itself; the test pairs.
    #[must_use]
    pub fn unpaired(mut self) -> Self {
        self.paired = false;
        self
    }

    /// Services of another version, which may know nothing of the users of NATS that this one ships.
    #[must_use]
    pub fn of_version(mut self, programs: PathBuf) -> Self {
        self.programs = Some(programs);
        self.has_users = false;
        self
    }

    /// Each service reaches NATS through a cable of its own.
    #[must_use]
    pub fn cables(mut self) -> Self {
        self.has_cables = true;
        self
    }

    #[must_use]
    pub fn gateway(mut self, variable: &str, value: &str) -> Self {
        self.gateway.push((variable.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn dispatcher(mut self, variable: &str, value: &str) -> Self {
        self.dispatcher.push((variable.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn api(mut self, variable: &str, value: &str) -> Self {
        self.api.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// A setting of every service.
    #[must_use]
    pub fn services(self, variable: &str, value: &str) -> Self {
        self.gateway(variable, value).dispatcher(variable, value).api(variable, value)
    }

    /// Starts all parts, and waits until the session is connected (unless it is [`unpaired`](StackPlan::unpaired)).
    pub async fn start(self) -> Stack {
        let program = |name: &str| self.programs.as_ref().map_or_else(|| binary(name), |folder| folder.join(name));
        let login = |user: &str| if self.has_users { Nats::login(user).to_vec() } else { Vec::new() };
        let mut nodes = match (self.is_cluster, self.has_cables) {
            (false, _) => vec![Nats::start().await],
            (true, false) => Nats::start_cluster().await,
            (true, true) => Nats::start_cluster_behind_cables().await,
        };
        let receiver = Receiver::start().await;
        let simulator = Simulator::start(self.paired).await;
        let mut cables = Vec::new();
        let mut broker = || {
            let addresses: Vec<_> = if self.has_cables {
                let own: Vec<_> = nodes.iter().map(|node| NetworkCable::to(node.addr())).collect();
                let addresses = own.iter().map(NetworkCable::addr).collect();
                cables.push(own);
                addresses
            } else {
                nodes.iter().map(Nats::addr).collect()
            };
            let urls: Vec<_> = addresses.iter().map(|addr| format!("nats://{addr}")).collect();
            [("NATS_URL".to_owned(), urls.join(",")), ("LOG_FILE".to_owned(), String::new())]
        };
        let webhook = self.webhooks.then(|| ("WEBHOOK_URL".to_owned(), receiver.url()));

        let whatsapp = [
            ("WHATSAPP_URL".to_owned(), simulator.websocket_url()),
            ("WHATSAPP_SESSION_PATH".to_owned(), "sessions".to_owned()),
            // Other tests check pacing.
            ("SEND_GAP".to_owned(), "0s".to_owned()),
        ];
        let settings: Vec<_> = login("gateway").into_iter().chain(whatsapp).chain(self.gateway).collect();
        let mut gateways: Vec<_> = (1..=self.gateways)
            .map(|n| {
                let name = if n == 1 { "gateway".to_owned() } else { format!("gateway {n}") };
                let settings = broker().into_iter().chain(settings.clone());
                Process::spawn(&name, program("kurir-gateway-for-simulator"), settings)
            })
            .collect();
        let login_of_dispatchers = login("webhook-dispatcher");
        let settings: Vec<_> = login_of_dispatchers.into_iter().chain(webhook.clone()).chain(self.dispatcher).collect();
        let dispatchers = (1..=self.dispatchers)
            .map(|n| {
                let name = format!("webhook-dispatcher {n}");
                Process::spawn(&name, program("kurir-webhook-dispatcher"), broker().into_iter().chain(settings.clone()))
            })
            .collect();
        let demo = [("SIMULATOR_URL".to_owned(), simulator.url(""))];
        let settings = broker().into_iter().chain(demo).chain(login("api")).chain(webhook);
        let api = Api::start(program("kurir-api"), settings.chain(self.api));

        let (gateway, nats) = (gateways.remove(0), nodes.remove(0));
        let mut stack = Stack {
            api,
            dispatchers,
            gateway,
            more_gateways: gateways,
            simulator,
            receiver,
            nats,
            more_nodes: nodes,
            cables,
        };
        stack.gateway.wait_ready(SOON).await;
        for service in stack.more_gateways.iter_mut().chain(&mut stack.dispatchers) {
            service.wait_ready(SOON).await;
        }
        stack.api.process.wait_ready(SOON).await;
        if self.paired {
            stack.connected(SOON).await;
        }
        stack
    }
}

/// The parts, in the order in which they are stopped; NATS is the last.
pub struct Stack {
    pub api: Api,
    pub dispatchers: Vec<Process>,
    pub gateway: Process,
    /// Those beside the first.
    pub more_gateways: Vec<Process>,
    pub simulator: Simulator,
    pub receiver: Receiver,
    pub nats: Nats,
    /// The other nodes of the cluster, if there is one.
    pub more_nodes: Vec<Nats>,
    /// Those of each gateway, of each dispatcher, and of the API, one to each node of NATS; none without
    /// [`StackPlan::cables`].
    pub cables: Vec<Vec<NetworkCable>>,
}

impl Stack {
    /// Starts a stack with one of each part, paired.
    pub async fn start() -> Self {
        Self::plan().start().await
    }

    #[must_use]
    pub fn plan() -> StackPlan {
        let plan = StackPlan {
            gateways: 1,
            dispatchers: 1,
            webhooks: true,
            paired: true,
            gateway: vec![],
            dispatcher: vec![],
            api: vec![],
            programs: None,
            has_users: true,
            has_cables: false,
            is_cluster: false,
        };
        plan.services("SECRETS_KEY", "a key for tests that seals secrets")
    }

    /// Waits until the API says that the session is connected.
    pub async fn connected(&self, deadline: Duration) {
        until("the session to be connected", deadline, || async {
            let (status, body) = self.api.get("/api/whatsapp/status").await;
            if body["data"]["isConnected"] == true { Ok(()) } else { Err((status, body)) }
        })
        .await;
    }

    /// The messages of EVENTS: (subject, event id, body), the oldest first.
    pub async fn events(&self) -> Vec<(String, String, serde_json::Value)> {
        stream_messages(&self.nats, "EVENTS").await
    }

    /// The messages of DEAD_LETTERS, in the same form.
    pub async fn dead_letters(&self) -> Vec<(String, String, serde_json::Value)> {
        stream_messages(&self.nats, "DEAD_LETTERS").await
    }

    /// Waits until every event is settled and no retry waits.
    pub async fn settled(&self) {
        let jetstream = self.nats.jetstream().await;
        until("every delivery to be settled", SOON * 2, || async {
            let mut open = Vec::new();
            let retries = jetstream.get_stream("RETRIES").await.map_err(|e| e.to_string())?;
            if retries.cached_info().state.messages > 0 {
                open.push(format!("{} retries", retries.cached_info().state.messages));
            }
            let events = jetstream.get_stream("EVENTS").await.map_err(|e| e.to_string())?;
            let consumer = events
                .get_consumer::<async_nats::jetstream::consumer::pull::Config>("webhook-default")
                .await
                .map_err(|e| e.to_string())?;
            let info = consumer.cached_info();
            if info.num_pending > 0 || info.num_ack_pending > 0 {
                open.push(format!("{} pending, {} unacknowledged", info.num_pending, info.num_ack_pending));
            }
            if open.is_empty() { Ok(()) } else { Err(open.join(", ")) }
        })
        .await;
    }

    /// Stops each service; each must end with exit code 0, and none may have tried what its user of NATS may not do.
    pub async fn finish(mut self) {
        let gateways = [&mut self.gateway].into_iter().chain(&mut self.more_gateways);
        let services = [&mut self.api.process].into_iter().chain(gateways).chain(&mut self.dispatchers);
        for service in services {
            if service.is_running() {
                let status = service.terminate(STOPPED_WITHIN).await;
                assert!(status.success(), "{} ended with {status}", service.name());
            }
        }
        let nodes = [&self.nats].into_iter().chain(&self.more_nodes);
        let violations: Vec<_> = nodes.flat_map(Nats::violations).collect();
        assert!(violations.is_empty(), "a user of NATS may not do what its service does: {violations:#?}");
    }
}

async fn stream_messages(nats: &Nats, name: &str) -> Vec<(String, String, serde_json::Value)> {
    let jetstream = nats.jetstream().await;
    let Ok(stream) = jetstream.get_stream(name).await else { return Vec::new() };
    let state = &stream.cached_info().state;
    let mut messages = Vec::new();
    if state.messages == 0 {
        return messages;
    }
    for sequence in state.first_sequence..=state.last_sequence {
        let Ok(message) = stream.get_raw_message(sequence).await else { continue };
        let id = message.headers.get("Nats-Msg-Id").map(|id| id.as_str().to_owned()).unwrap_or_default();
        let body = serde_json::from_slice(&message.payload).unwrap_or_default();
        messages.push((message.subject.to_string(), id, body));
    }
    messages
}
