//! The gateway: it holds WhatsApp sessions, stores their messages in JetStream before they are acknowledged to WhatsApp, and
//! handles the commands that come over NATS.
//!
//! The modules, in the order in which a message passes through them, then a command:
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | reads and checks the settings |
//! | [`session`] | says what a session is: its state, its keys, its account |
//! | [`inbound`] | makes an event of a message from WhatsApp |
//! | [`publish`] | stores an event in EVENTS |
//! | [`storage`] | says why NATS stores nothing although it is reachable |
//! | [`store_watch`] | notices when a stream or bucket vanishes |
//! | `event_size` | makes an event that is too large for NATS smaller |
//! | `plain_text` | writes text as text, which the library would write as an address |
//! | [`connection`] | opens and closes the connection to WhatsApp |
//! | [`commands`] | answers requests from the broker |
//! | [`outbound`] | sends messages to WhatsApp |
//! | [`chat_queue`], [`known_chats`] | keep the order of a chat, and remember with whom there is one |
//! | [`hosting`] | claims the sessions that this gateway holds, and runs them |
//! | [`metrics`] | counts |
//!
//! Imports point one way: `commands` → `outbound` → `inbound` → `session`, and `connection` → `inbound`; `hosting` connects all.
//!
//! The promise: a message is acknowledged to WhatsApp only after JetStream has it.

pub mod config;
pub mod session;

mod event_size;
pub mod inbound;
mod plain_text;
pub mod publish;
pub mod storage;
pub mod store_watch;

pub mod connection;

pub mod commands;
pub mod outbound;

pub mod hosting;

pub mod byte_budget;
pub mod chat_queue;
#[cfg(test)]
mod fuzz;
pub mod known_chats;
pub mod metrics;
mod shared_ticks;

use config::GatewayConfig;
use hosting::{GatewayLease, KeyExporter, SessionContext, SessionFolder, SessionRegistry, Supervisor, WhatsappReach};
use kurir_chassis::{
    broker::Broker,
    health::Health,
    metrics::MetricsRegistry,
    metrics_push::{self, MetricsSource},
    shutdown::CancellationToken,
    tasks::TaskSet,
};
use kurir_contract::service::ServiceName;
use metrics::GatewayMetrics;
use std::time::Duration;
use storage::StorageMonitor;
use store_watch::{StoreLosses, StoreWatch};

/// How long the tasks have to end after the shutdown, a session's own time included. A supervisor should wait 15 s before
/// it kills the process.
const DRAIN: Duration = Duration::from_secs(14);

/// Runs the gateway until `shutdown`.
///
/// # Errors
/// If the gateway cannot start, or one of its tasks fails.
pub async fn run(config: GatewayConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let broker = Broker::connect(&config.broker, "kurir-gateway").await?;
    let health = Health::new(ServiceName::Gateway, broker.clone());
    health.watch_folder(config.whatsapp_session_path.clone());
    let metrics = MetricsRegistry::default();
    metrics.add_service(ServiceName::Gateway, &broker);
    let counted = GatewayMetrics::register(&metrics);
    let (log, source) = (config.log.clone(), MetricsSource::new(ServiceName::Gateway, health.instance()));
    let storage = StorageMonitor::new(broker.clone(), counted.clone());
    let reach = WhatsappReach::new(counted.clone());
    let (name, most) = (health.instance().to_owned(), config.gateway_max_sessions);
    let lease = GatewayLease::new(broker.clone(), name, reach.cut_off(), most, storage.clone());
    let losses = StoreLosses::default();
    let raw = inbound::RawPolicy::default();
    let clock = broker.clock.clone().follow(broker.client.clone(), shutdown.clone());
    let folder = match config.journal_keys() {
        Some(_) => SessionFolder::scratch(&config.whatsapp_session_path)?,
        None => SessionFolder::lasting(&config.whatsapp_session_path),
    };
    let context = SessionContext {
        broker,
        sessions: folder.path().to_owned(),
        health: health.clone(),
        metrics: counted,
        storage: storage.clone(),
        losses: losses.clone(),
        raw: raw.clone(),
        lease: lease.clone(),
        // Only sessions whose keys are in NATS can go to another gateway.
        reach: config.journal_keys().is_some().then(|| reach.clone()),
    };
    let url = config.whatsapp_url.clone();
    let listen = config.health_listen;
    let stores = StoreWatch {
        broker: context.broker.clone(),
        metrics: context.metrics.clone(),
        health: health.clone(),
        losses,
        media_max_age: config.media_max_age,
    };
    let exporter = KeyExporter {
        registry: SessionRegistry::open(
            &context.broker,
            (&config.whatsapp_session_path, folder.path()),
            config.journal_keys(),
        )?,
        broker: context.broker.clone(),
        sessions: folder.path().to_owned(),
        journal_keys: config.journal_keys().cloned(),
        lease: lease.clone(),
    };
    let broker = context.broker.clone();
    let mut tasks = TaskSet::new(shutdown);
    // The lease is held until the sessions have left WhatsApp.
    let released = CancellationToken::new();
    let sessions = run_sessions(Supervisor::new(context, config)?, tasks.shutdown_token(), released.clone());
    tasks.spawn("clock", clock);
    tasks.spawn("metrics push", metrics_push::run(log, source, metrics.clone(), tasks.shutdown_token()));
    tasks.spawn("sessions", sessions);
    tasks.spawn("key export", exporter.run(tasks.shutdown_token()));
    tasks.spawn("lease", lease.run(released));
    tasks.spawn("reach", reach.run(url, tasks.shutdown_token()));
    tasks.spawn("raw", raw.follow_endpoints(stores.broker.clone(), tasks.shutdown_token()));
    tasks.spawn("stores", stores.run(tasks.shutdown_token()));
    tasks.spawn("storage", storage.run(health.clone(), tasks.shutdown_token()));
    tasks.spawn("pings", health.clone().answer_pings(tasks.shutdown_token()));
    if let Some(listen) = listen {
        tasks.spawn("health", health.serve_probes_and_metrics(listen, metrics, tasks.shutdown_token()));
    }
    let ended = tasks.run(DRAIN).await;
    broker.send_last_words().await;
    ended
}

/// Runs the sessions, and gives up the lease after them.
async fn run_sessions(
    supervisor: Supervisor,
    shutdown: CancellationToken,
    released: CancellationToken,
) -> anyhow::Result<()> {
    let _released = released.drop_guard();
    supervisor.run(shutdown).await
}
