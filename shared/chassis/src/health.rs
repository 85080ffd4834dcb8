//! Whether a service works: `/livez` and `/readyz` for an orchestrator, an answer to a ping for the API. A service with
//! metrics shows them beside, at `/metrics`.

use crate::{broker::Broker, metrics::MetricsRegistry, shutdown::CancellationToken};
use anyhow::Context as _;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use futures::StreamExt as _;
use kurir_contract::{
    service::{PingReply, ServiceName},
    subject,
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::net::TcpListener;

/// Ready means: broker reachable, streams there, first work taken. Neither a receiver nor a WhatsApp account that is
/// down makes a service unready.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    service: ServiceName,
    instance: String,
    started: Instant,
    works: AtomicBool,
    broker: Broker,
}

impl Health {
    #[must_use]
    pub fn new(service: ServiceName, broker: Broker) -> Self {
        let instance = format!("{}-{:08x}", std::process::id(), rand_id());
        Self(Arc::new(Inner { service, instance, started: Instant::now(), works: AtomicBool::new(false), broker }))
    }

    /// The first work was taken. Says `ready` on standard error the first time.
    pub fn works(&self) {
        if !self.0.works.swap(true, Ordering::Relaxed) {
            crate::service::say_ready();
        }
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.works.load(Ordering::Relaxed) && self.0.broker.is_connected()
    }

    #[must_use]
    pub fn pong(&self) -> PingReply {
        PingReply {
            service: self.0.service,
            instance: self.0.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.is_ready(),
            uptime_seconds: self.0.started.elapsed().as_secs(),
        }
    }

    /// The two routes, for a service that has a listener of its own.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(self.clone())
    }

    /// Serves them on `HEALTH_LISTEN` until the shutdown.
    ///
    /// # Errors
    /// If the address is taken.
    pub async fn serve(self, listen: SocketAddr, shutdown: CancellationToken) -> anyhow::Result<()> {
        self.serve_with(listen, Router::new(), shutdown).await
    }

    /// The same with `/metrics`.
    ///
    /// # Errors
    /// If the address is taken.
    pub async fn serve_metrics(
        self,
        listen: SocketAddr,
        metrics: MetricsRegistry,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        self.serve_with(listen, metrics.route(), shutdown).await
    }

    async fn serve_with(self, listen: SocketAddr, others: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("failed to listen on {listen} (HEALTH_LISTEN)"))?;
        axum::serve(listener, self.routes::<()>().merge(others))
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
            if let (Some(reply), Ok(pong)) = (ping.reply, serde_json::to_vec(&self.pong())) {
                // A ping that gets no answer shows the service as missing, which is what it then is.
                let _ = client.publish(reply, pong.into()).await;
            }
        }
        Ok(())
    }
}

fn rand_id() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    // Seeded by the operating system at every call; uniqueness among a few processes is all it is for.
    RandomState::new().build_hasher().finish() as u32
}

async fn livez() -> Json<Value> {
    Json(json!({"status": "alive"}))
}

async fn readyz(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    let broker = if health.0.broker.is_connected() { "connected" } else { "disconnected" };
    if health.is_ready() {
        (StatusCode::OK, Json(json!({"status": "ready", "broker": broker})))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "not ready", "broker": broker})))
    }
}
