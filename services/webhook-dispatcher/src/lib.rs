//! The webhook-dispatcher: takes events from JetStream and delivers each to its endpoint until the receiver says 2xx
//! or the event rests in the dead letters.
//!
//! The modules in the order in which an event meets them:
//! - [`config`]: the settings.
//! - [`endpoints`]: which endpoints there are, their consumers in the broker, and the one worker that takes no more than
//!   it can deliver at once, from an endpoint that fails nothing.
//! - [`delivery`]: one attempt from top to bottom, and what becomes of its end: acknowledged, tried again later, or
//!   given up. Every wait between two attempts is kept by the broker.
//! - [`commands`]: what a dispatcher is asked: [`replay`], which delivers events again, and [`ledger`], which says where
//!   each event is. [`figures`] are the broker's own, [`refusal`] says why not.
//! - [`metrics`]: what is counted of it. [`bucket`]: how what is stored in NATS under a key is read and changed.
//!
//! Any number of dispatchers share the work without a word between them: the broker's consumers hand out the events.

pub mod bucket;
pub mod commands;
pub mod config;
pub mod delivery;
pub mod endpoints;
pub mod figures;
pub mod ledger;
pub mod metrics;
pub mod refusal;
pub mod replay;

pub use config::Config;

use crate::{
    commands::Commands,
    delivery::{Files, ToolSettings, Tools, Transport, attempt_log},
    endpoints::{Colleagues, Directory, Failing, Follower, NEWS, Supplies, Worker, standing},
    ledger::Ledgers,
    metrics::DeliveryMetrics,
    replay::Replays,
};
use anyhow::Context as _;
use kurir_chassis::{
    broker::Broker, health::Health, metrics::MetricsRegistry, shutdown::CancellationToken, tasks::TaskSet,
};
use kurir_contract::service::ServiceName;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Changes of endpoints that the worker has not heard of; the bucket is read no faster than it works.
const CHANGES: usize = 64;
/// What comes after the drain: the last attempts are recorded, the last acknowledgements sent.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Runs until the shutdown.
///
/// # Errors
/// If the settings cannot be used, or if a task fails; a broker or a receiver that is away is no failure.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let broker = Broker::connect(&config.broker, "kurir-webhook-dispatcher").await?;
    let health = Health::new(ServiceName::WebhookDispatcher, broker.clone());
    let metrics = MetricsRegistry::default();
    let mut tasks = TaskSet::new(shutdown.clone());
    if let Some(listen) = config.health_listen() {
        tasks.spawn("health", health.clone().serve_probes_and_metrics(listen, metrics.clone(), shutdown.clone()));
    }
    tasks.spawn("pings", health.clone().answer_pings(shutdown.clone()));
    let (attempts, recorder) = attempt_log::open(broker.clone());
    tasks.spawn("attempt log", recorder.run(shutdown.clone()));

    if config.endpoints().is_empty() {
        tracing::info!("WEBHOOK_URL is not set: there are no webhooks but those of the API, all events reach NATS");
    }
    let (changed, changes) = mpsc::channel(CHANGES);
    let follower = Follower::new(config.clone(), broker.clone(), changed.clone());
    tasks.spawn("webhook endpoints", follower.run(shutdown.clone()));
    let (news, heard) = mpsc::channel(NEWS);
    let failing = Failing::default();
    let registrar = standing::Registrar::new(broker.clone(), heard, config.webhook_disable_after, failing.clone());
    tasks.spawn("standing of endpoints", registrar.run(shutdown.clone()));
    let colleagues = Colleagues::default();
    tasks.spawn("colleagues", colleagues.clone().run(broker.clone(), shutdown.clone()));

    let directory = Directory::new(config.clone(), broker.clone());
    let (replays, keeper) = Replays::open(broker.clone(), directory.clone(), changed);
    tasks.spawn("replays", keeper.run(shutdown.clone()));
    let commands = Commands { broker: broker.clone(), replays, ledgers: Ledgers::new(broker.clone(), directory) };
    tasks.spawn("webhook commands", commands.serve(shutdown.clone()));

    let transport = Transport::new(config.webhook_ca_file.as_deref())?;
    let settings = ToolSettings {
        allowed: config.allowed_networks(),
        metrics: DeliveryMetrics::declared(&metrics),
        public_url: config.public_url.clone(),
        files: Files::new(broker.clone(), config.webhook_base64_max.bytes, &metrics),
        traced: config.log.otel_exporter_otlp_endpoint.is_some(),
    };
    let tools = Arc::new(Tools::new(broker.clone(), attempts, transport, settings).await?);
    let (has_begun, begins) = oneshot::channel();
    let worker =
        Worker::new(Supplies { broker: broker.clone(), tools, changes, news, failing, colleagues }, has_begun).await?;
    tasks.spawn("webhook deliveries", worker.run(config.drain_timeout, shutdown.clone()));
    tasks.spawn("readiness", readiness(health, broker.clone(), begins, shutdown.clone()));

    let result = tasks.run(config.drain_timeout + LAST_WORDS).await;
    // Acknowledgements are sent without waiting: what still lies in the client goes out here.
    match tokio::time::timeout(LAST_WORDS, broker.client.flush()).await {
        Ok(flushed) => flushed.context("failed to send the last acknowledgements").or(result),
        Err(_) => result,
    }
}

/// Ready means that the streams are there and every endpoint has its consumer; then nothing more is to be done.
async fn readiness(
    health: Health,
    broker: Broker,
    begun: oneshot::Receiver<()>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let all_begun = async {
        broker.wait_until_ready().await;
        // A worker that ended instead is told of by its own task.
        let _ = begun.await;
        health.mark_ready();
    };
    tokio::select! {
        () = all_begun => shutdown.cancelled().await,
        () = shutdown.cancelled() => {}
    }
    Ok(())
}
