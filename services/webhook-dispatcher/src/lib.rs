//! The webhook-dispatcher: takes events from JetStream and delivers each to its endpoint until the receiver says 2xx
//! or the event rests in the dead letters.
//!
//! The modules in the order in which an event meets them:
//! - [`config`]: the settings, and the endpoints that they name.
//! - [`endpoints`]: what an endpoint is, its consumers in the broker, and the worker that pulls no more than it can
//!   deliver at once. One worker takes fresh events, another the retries that are due.
//! - [`delivery`]: one attempt from top to bottom, and what becomes of its end: acknowledged, tried again later, or
//!   given up. Every wait between two attempts is kept by the broker.
//!
//! Any number of dispatchers share the work without a word between them: the broker's consumers hand out the events.

pub mod config;
pub mod delivery;
pub mod endpoints;

pub use config::Config;

use crate::{
    delivery::{Deliverer, attempt_log},
    endpoints::{Source, Worker},
};
use anyhow::Context as _;
use kurir_chassis::{broker::Broker, health::Health, shutdown::CancellationToken, tasks::Tasks};
use kurir_contract::service::Service;
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// What comes after the drain: the last attempts are recorded, the last acknowledgements sent.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Runs until the shutdown.
///
/// # Errors
/// If the settings cannot be used, or if a task fails; a broker or a receiver that is away is no failure.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let broker = Broker::connect(&config.broker, "kurir-webhook-dispatcher").await?;
    let health = Health::new(Service::WebhookDispatcher, broker.clone());
    let mut tasks = Tasks::new(shutdown.clone());
    if let Some(listen) = config.health_listen() {
        tasks.spawn("health", health.clone().serve(listen, shutdown.clone()));
    }
    tasks.spawn("pings", health.clone().answer_pings(shutdown.clone()));
    let (attempts, recorder) = attempt_log::open(broker.clone());
    tasks.spawn("attempt log", recorder.run(shutdown.clone()));

    let endpoints = config.endpoints();
    if endpoints.is_empty() {
        tracing::info!("WEBHOOK_URL is not set: webhooks are disabled, events still reach NATS");
    }
    let mut begun = Vec::new();
    for endpoint in endpoints.into_iter().map(Arc::new) {
        let traced = config.log.otel_exporter_otlp_endpoint.is_some();
        let deliverer = Deliverer::new(Arc::clone(&endpoint), broker.clone(), attempts.clone(), traced).await?;
        let deliverer = Arc::new(deliverer);
        for source in [Source::Events, Source::Retries] {
            let (has_begun, begins) = oneshot::channel();
            begun.push(begins);
            let worker = Worker::new(source, Arc::clone(&endpoint), broker.clone(), Arc::clone(&deliverer));
            tasks.spawn(source.task_name(), worker.run(has_begun, config.drain_timeout, shutdown.clone()));
        }
    }
    drop(attempts);
    tasks.spawn("readiness", readiness(health, broker.clone(), begun, shutdown.clone()));

    let result = tasks.run(config.drain_timeout + LAST_WORDS).await;
    // Acknowledgements are sent without waiting: what still lies in the client goes out here.
    match tokio::time::timeout(LAST_WORDS, broker.client.flush()).await {
        Ok(flushed) => flushed.context("failed to send the last acknowledgements").or(result),
        Err(_) => result,
    }
}

/// Ready means that the streams are there and every worker has its consumer; then nothing more is to be done.
async fn readiness(
    health: Health,
    broker: Broker,
    begun: Vec<oneshot::Receiver<()>>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let all_begun = async {
        broker.ready().await;
        for worker in begun {
            // A worker that ended instead is told of by its own task.
            let _ = worker.await;
        }
        health.works();
    };
    tokio::select! {
        () = all_begun => shutdown.cancelled().await,
        () = shutdown.cancelled() => {}
    }
    Ok(())
}
