//! The health of a service: `/livez` and `/readyz` for an orchestrator, and an answer to the API's pings.
//!
//! A service with metrics serves `/metrics` on the same listener.

use crate::{broker::Broker, metrics::MetricsRegistry, shutdown::CancellationToken};
use anyhow::Context as _;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use futures::StreamExt as _;
use kurir_contract::{
    service::{DiskSpace, PingReply, ServiceName},
    subject,
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::net::TcpListener;

/// Enough to see what happened in a night; the log has all.
const NOTICES_KEPT: usize = 10;

/// The health of this process. A clone shares it.
///
/// A service is ready when NATS is reachable, the streams exist and the service has taken its first work. A receiver or a
/// WhatsApp account that is down does not make it unready.
#[derive(Clone)]
pub struct Health(Arc<HealthState>);

struct HealthState {
    service: ServiceName,
    instance: String,
    started: Instant,
    has_taken_work: AtomicBool,
    /// Why the service does less than it should, in words.
    problem: Mutex<Option<String>>,
    /// Why NATS stores nothing although it is reachable.
    storage_problem: Mutex<Option<String>>,
    /// What an operator should know, newest last.
    notices: Mutex<VecDeque<String>>,
    /// Folders whose disks an operator should know.
    folders: Mutex<Vec<PathBuf>>,
    broker: Broker,
}

impl Health {
    #[must_use]
    pub fn new(service: ServiceName, broker: Broker) -> Self {
        let instance = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
        Self(Arc::new(HealthState {
            service,
            instance,
            started: Instant::now(),
            has_taken_work: AtomicBool::new(false),
            problem: Mutex::default(),
            storage_problem: Mutex::default(),
            notices: Mutex::default(),
            folders: Mutex::default(),
            broker,
        }))
    }

    /// Marks the service as ready: it has taken its first work. The first call prints `ready` on standard error.
    pub fn mark_ready(&self) {
        if !self.0.has_taken_work.swap(true, Ordering::Relaxed) {
            crate::service::print_ready();
        }
    }

    /// A random name of this process.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.0.instance
    }

    /// While there is a problem the service is not ready, and `/readyz` says why.
    pub fn set_problem(&self, problem: Option<String>) {
        *self.0.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Records why NATS stores nothing, which keeps the service from being ready; none if it stores again.
    pub fn set_storage_problem(&self, problem: Option<String>) {
        *self.0.storage_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// Adds a line that the answers to pings show until the service ends. The last ten are kept.
    pub fn add_notice(&self, notice: String) {
        let mut notices = self.0.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() == NOTICES_KEPT {
            notices.pop_front();
        }
        notices.push_back(notice);
    }

    /// The answers to pings say how much room this folder has, from now on.
    pub fn watch_folder(&self, folder: PathBuf) {
        self.0.folders.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
    }

    fn problem(&self) -> Option<String> {
        let of = |problem: &Mutex<Option<String>>| problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        of(&self.0.problem).or_else(|| of(&self.0.storage_problem))
    }

    /// Whether the service has taken work, has no problem, and NATS is reachable.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.has_taken_work.load(Ordering::Relaxed) && self.problem().is_none() && self.0.broker.is_connected()
    }

    /// The answer to a ping.
    #[must_use]
    pub fn ping_reply(&self) -> PingReply {
        PingReply {
            service: self.0.service,
            instance: self.0.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.is_ready(),
            uptime_seconds: self.0.started.elapsed().as_secs(),
            problem: self.problem(),
            notices: self.0.notices.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect(),
            clock_ahead_ms: self
                .0
                .broker
                .clock
                .last_reading()
                .map(|reading| i64::try_from(reading.machine_ahead.whole_milliseconds()).unwrap_or(i64::MAX)),
            disks: self
                .0
                .folders
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .filter_map(|folder| disk_space(folder))
                .collect(),
        }
    }

    /// `/livez` and `/readyz`, for a service with its own listener.
    pub fn probe_routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(self.clone())
    }

    /// Serves the probes on `HEALTH_LISTEN` until the shutdown.
    ///
    /// # Errors
    /// If the address is in use.
    pub async fn serve_probes(self, listen: SocketAddr, shutdown: CancellationToken) -> anyhow::Result<()> {
        self.serve_routes(listen, Router::new(), shutdown).await
    }

    /// Serves the probes and `/metrics` on `HEALTH_LISTEN` until the shutdown.
    ///
    /// # Errors
    /// If the address is in use.
    pub async fn serve_probes_and_metrics(
        self,
        listen: SocketAddr,
        metrics: MetricsRegistry,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        self.serve_routes(listen, metrics.metrics_route(), shutdown).await
    }

    async fn serve_routes(
        self,
        listen: SocketAddr,
        further: Router,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("failed to listen on {listen} (HEALTH_LISTEN)"))?;
        axum::serve(listener, self.probe_routes::<()>().merge(further))
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await
            .context("failed to serve HEALTH_LISTEN")
    }

    /// Answers the API's pings until the shutdown.
    ///
    /// # Errors
    /// If the subscription cannot be made.
    pub async fn answer_pings(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let client = &self.0.broker.client;
        let mut pings = client
            .subscribe(subject::service_ping(self.0.service))
            .await
            .context("failed to subscribe to pings")?
            .take_until(shutdown.cancelled_owned())
            .boxed();
        while let Some(ping) = pings.next().await {
            if let (Some(reply), Ok(answer)) = (ping.reply, serde_json::to_vec(&self.ping_reply())) {
                // Without an answer the API shows the service as missing, which is true then.
                let _ = client.publish(reply, answer.into()).await;
            }
        }
        Ok(())
    }
}

/// None where the system does not say.
#[cfg(unix)]
fn disk_space(folder: &Path) -> Option<DiskSpace> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(DiskSpace {
        path: folder.display().to_string(),
        free_bytes: bytes(disk.f_bavail),
        total_bytes: bytes(disk.f_blocks),
    })
}

#[cfg(not(unix))]
fn disk_space(_folder: &Path) -> Option<DiskSpace> {
    None
}

async fn livez() -> Json<Value> {
    Json(json!({"status": "alive"}))
}

async fn readyz(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    let broker = if health.0.broker.is_connected() { "connected" } else { "disconnected" };
    if health.is_ready() {
        return (StatusCode::OK, Json(json!({"status": "ready", "broker": broker})));
    }
    let mut body = json!({"status": "not ready", "broker": broker});
    if let Some(problem) = health.problem() {
        body["problem"] = problem.into();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}
