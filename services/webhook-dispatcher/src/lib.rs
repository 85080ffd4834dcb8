//! The webhook-dispatcher takes events from JetStream and delivers each to its endpoint, until the receiver answers 2xx
//! or the event rests in the dead letters.
//!
//! The modules, in the order in which an event passes through them:
//! - [`config`]: the settings, checked against each other.
//! - [`endpoint`]: what an endpoint is: its URL, format, limits and retry policy. Pure.
//! - [`endpoints`]: which endpoints there are. Its one worker pulls no more than it can deliver at once; circuit
//!   breakers, rate limits and the order within chats decide what it pulls.
//! - [`jetstream`]: what NATS stores and hands out: consumers, pulls, acknowledgements, retries, parked events.
//! - [`event`]: the event that a delivery is about.
//! - [`delivery`]: one attempt from top to bottom, and its settlement: acknowledged, scheduled again, or given up. NATS
//!   keeps every wait between two attempts.
//! - [`metrics`]: what is counted on the way; [`backlog`]: what waits.
//!
//! Besides the deliveries there are [`commands`]: [`replay`] delivers events again, [`ledger`] reports where each event
//! is, and [`command_error`] words the refusals.
//!
//! Any number of dispatchers share the work and exchange no messages about it: the consumers in NATS hand out the
//! events.

pub mod backlog;
pub mod command_error;
pub mod commands;
pub mod config;
pub mod delivery;
pub mod endpoint;
pub mod endpoints;
pub mod event;
pub mod jetstream;
pub mod ledger;
pub mod metrics;
pub mod replay;

pub use config::Config;

use crate::{
    commands::CommandServer,
    delivery::{
        attempt_log::open_attempt_log,
        context::{DeliveryContext, DeliverySettings},
        dead_letters::open_dead_letters,
        media::MediaEmbedder,
        transport::Transport,
    },
    endpoints::{
        failing_endpoints::FailingEndpoints,
        health_change::HEALTH_CHANGE_QUEUE,
        health_reporter::HealthReporter,
        lookup::EndpointLookup,
        peer_count::PeerCount,
        watcher::EndpointWatcher,
        worker::{DeliveryWorker, WorkerInputs},
    },
    ledger::LedgerService,
    metrics::{BacklogMetrics, DeliveryMetrics},
};
use kurir_chassis::{
    broker::Broker,
    health::Health,
    metrics::MetricsRegistry,
    metrics_push::{self, MetricsSource},
    shutdown::CancellationToken,
    tasks::TaskSet,
};
use kurir_contract::service::ServiceName;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Changes of endpoints that wait for the worker. The bucket is read no faster than the worker applies them.
const CHANGE_QUEUE: usize = 64;
/// Time after the drain to record the last attempts.
const RECORD_MARGIN: Duration = Duration::from_secs(3);

/// Runs until the shutdown.
///
/// # Errors
/// If the settings cannot be used, or if a task fails. A broker or a receiver that is away is no error.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let broker = Broker::connect(&config.broker, "kurir-webhook-dispatcher").await?;
    let health = Health::new(ServiceName::WebhookDispatcher, broker.clone());
    let metrics = MetricsRegistry::default();
    metrics.add_service(ServiceName::WebhookDispatcher, &broker);
    let mut tasks = TaskSet::new(shutdown.clone());
    if let Some(listen) = config.health_listen() {
        tasks.spawn("health", health.clone().serve_probes_and_metrics(listen, metrics.clone(), shutdown.clone()));
    }
    let source = MetricsSource::new(ServiceName::WebhookDispatcher, health.instance());
    tasks.spawn("metrics push", metrics_push::run(config.log.clone(), source, metrics.clone(), shutdown.clone()));
    tasks.spawn("clock", broker.clock.clone().follow(broker.client.clone(), shutdown.clone()));
    tasks.spawn("pings", health.clone().answer_pings(shutdown.clone()));
    let (attempts, recorder) = open_attempt_log(broker.clone());
    tasks.spawn("attempt log", recorder.run(shutdown.clone()));

    if config.endpoints().is_empty() {
        tracing::info!("WEBHOOK_URL is not set: there are no webhooks but those of the API, all events reach NATS");
    }
    let (changed, changes) = mpsc::channel(CHANGE_QUEUE);
    let failing = FailingEndpoints::default();
    let watcher = EndpointWatcher::new(config.clone(), broker.clone(), changed.clone(), failing.clone());
    tasks.spawn("webhook endpoints", watcher.run(shutdown.clone()));
    let (health_changes, reported) = mpsc::channel(HEALTH_CHANGE_QUEUE);
    let reporter = HealthReporter::new(broker.clone(), reported, config.webhook_disable_after, failing.clone());
    tasks.spawn("endpoint health", reporter.run(shutdown.clone()));
    tasks.spawn("backlog", backlog::follow(broker.clone(), BacklogMetrics::register(&metrics), shutdown.clone()));
    let peers = PeerCount::default();
    tasks.spawn("peer count", peers.clone().run(broker.clone(), shutdown.clone()));

    let endpoints = EndpointLookup::new(config.clone(), broker.clone());
    let (replays, scheduler) = replay::open_replays(broker.clone(), endpoints.clone(), changed);
    tasks.spawn("replays", scheduler.run(shutdown.clone()));
    let commands =
        CommandServer { broker: broker.clone(), replays, ledgers: LedgerService::new(broker.clone(), endpoints) };
    tasks.spawn("webhook commands", commands.serve(shutdown.clone()));

    let certificates = config.trusted_certificates().map_err(anyhow::Error::msg)?;
    let transport = Transport::new(certificates, config.proxies());
    let (dead_letters, notices) = open_dead_letters(broker.clone());
    tasks.spawn("reports of dead letters", notices.run(shutdown.clone()));
    let settings = DeliverySettings {
        dead_letters,
        allowed: config.allowed_networks(),
        metrics: DeliveryMetrics::register(&metrics),
        public_url: config.public_url.clone(),
        media: MediaEmbedder::new(broker.clone(), config.webhook_base64_max.bytes, &metrics),
        traced: config.log.otel_exporter_otlp_endpoint.is_some(),
    };
    let context = Arc::new(DeliveryContext::new(broker.clone(), attempts, transport, settings).await?);
    let (signal_ready, is_ready) = oneshot::channel();
    let worker = DeliveryWorker::new(
        WorkerInputs { broker: broker.clone(), context, changes, health_changes, failing, peers },
        signal_ready,
    )
    .await?;
    tasks.spawn("webhook deliveries", worker.run(config.drain_timeout, shutdown.clone()));
    tasks.spawn("readiness", readiness(health, broker.clone(), is_ready, shutdown.clone()));

    let result = tasks.run(config.drain_timeout + RECORD_MARGIN).await;
    broker.send_last_words().await;
    result
}

/// Reports readiness when the streams exist and every endpoint has its consumer. Then waits for the shutdown.
async fn readiness(
    health: Health,
    broker: Broker,
    ready: oneshot::Receiver<()>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let all_ready = async {
        broker.wait_until_ready().await;
        // An error here means that the worker has ended. The worker's own task reports that.
        let _ = ready.await;
        health.mark_ready();
    };
    tokio::select! {
        () = all_ready => shutdown.cancelled().await,
        () = shutdown.cancelled() => {}
    }
    Ok(())
}
