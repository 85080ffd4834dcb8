//! `/api/health`: that the API runs, and in detail which services of Kurir it can see.

use crate::{app_state::AppState, auth::OptionalKey, response::JsonResult};
use axum::{Json, extract::State};
use futures::StreamExt as _;
use kurir_contract::{
    clock,
    service::{PingReply, ServiceName},
    subject,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Services answer a ping in a millisecond; who needs longer is shown as missing.
const PONGS_WITHIN: Duration = Duration::from_millis(300);
/// How long what they answered is shown to callers without the key.
const PONGS_LAST: Duration = Duration::from_secs(2);
/// Answers that are shown; nobody runs so many instances.
const MAX_PONGS: usize = 256;

/// That the API runs.
#[derive(Serialize, JsonSchema)]
pub struct HealthResponse {
    #[schemars(extend("const" = true))]
    success: bool,
    message: &'static str,
    /// ISO 8601.
    timestamp: String,
    /// Seconds since the start.
    uptime: f64,
    version: &'static str,
}

/// What the API can see.
#[derive(Serialize, JsonSchema)]
pub struct DetailedHealthResponse {
    #[serde(flatten)]
    common: HealthResponse,
    /// `NODE_ENV`.
    environment: String,
    memory: MemoryUse,
    /// The operating system, as Node.js names it.
    platform: &'static str,
    broker: BrokerHealth,
    /// With the key, each instance of each service that answers within 0.3 s, this one first; without, each service.
    services: Vec<ServiceHealth>,
}

/// The names that Node.js has, with what comes nearest to them here; missing where the system does not say.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MemoryUse {
    #[serde(skip_serializing_if = "Option::is_none")]
    rss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heap_total: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heap_used: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct BrokerHealth {
    /// Whether NATS is there.
    connected: bool,
}

pub async fn brief(State(app): State<AppState>) -> JsonResult<HealthResponse> {
    Ok(Json(health_response(&app, "WhatsApp API is running")))
}

/// Without the key, each service is there or not, and nothing is said of its instances.
pub async fn detailed(State(app): State<AppState>, key: OptionalKey) -> JsonResult<DetailedHealthResponse> {
    let services = if key.is_right {
        ping_services(&app).await.into_iter().map(ServiceHealth::of).collect()
    } else {
        app.last_pings.summary(&app).await
    };
    Ok(Json(DetailedHealthResponse {
        common: health_response(&app, "WhatsApp API detailed health check"),
        environment: app.environment.clone(),
        memory: read_memory().await,
        platform: platform(),
        broker: BrokerHealth { connected: app.broker.is_connected() },
        services,
    }))
}

fn health_response(app: &AppState, message: &'static str) -> HealthResponse {
    let (timestamp, uptime) = (clock::now_iso(), app.started.elapsed().as_secs_f64());
    HealthResponse { success: true, message, timestamp, uptime, version: env!("CARGO_PKG_VERSION") }
}

/// The last answers of the services. A request without the key causes no new traffic.
#[derive(Default)]
pub struct LastPings(Mutex<Option<(Instant, Vec<PingReply>)>>);

/// A service, or one instance of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceHealth {
    service: ServiceName,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    /// Why it is not ready although it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// What vanished from NATS since its start, each with its time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
}

impl ServiceHealth {
    fn of(pong: PingReply) -> Self {
        Self {
            service: pong.service,
            instance: Some(pong.instance),
            version: Some(pong.version),
            ready: pong.ready,
            uptime_seconds: Some(pong.uptime_seconds),
            problem: pong.problem,
            notices: pong.notices,
        }
    }
}

impl LastPings {
    /// One entry for each service of which an instance answered at most two seconds ago.
    async fn summary(&self, app: &AppState) -> Vec<ServiceHealth> {
        let mut last = self.0.lock().await;
        let pongs = match last.take().filter(|(at, _)| at.elapsed() < PONGS_LAST) {
            Some(fresh) => fresh,
            None => (Instant::now(), ping_services(app).await),
        };
        let mut summary: Vec<ServiceHealth> = Vec::new();
        for pong in &pongs.1 {
            match summary.iter_mut().find(|known| known.service == pong.service) {
                Some(known) => known.ready |= pong.ready,
                None => summary.push(ServiceHealth {
                    service: pong.service,
                    instance: None,
                    version: None,
                    ready: pong.ready,
                    uptime_seconds: None,
                    problem: None,
                    notices: Vec::new(),
                }),
            }
        }
        *last = Some(pongs);
        summary
    }
}

/// Every instance that answers, this one first.
pub async fn ping_services(app: &AppState) -> Vec<PingReply> {
    let mut pongs = vec![app.health.ping_reply()];
    if app.broker.is_connected() {
        // Ends by its deadline as a rule, since nobody knows how many will answer; those that came in time are kept.
        let _ = tokio::time::timeout(PONGS_WITHIN, collect_pongs(app, &mut pongs)).await;
    }
    pongs
}

async fn collect_pongs(app: &AppState, pongs: &mut Vec<PingReply>) -> Option<()> {
    let client = &app.broker.client;
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.ok()?;
    for service in [ServiceName::Gateway, ServiceName::WebhookDispatcher] {
        client.publish_with_reply(subject::service_ping(service), inbox.clone(), Vec::new().into()).await.ok()?;
    }
    while pongs.len() < MAX_PONGS {
        // "No responders" comes as an answer without a body; the others may still come.
        if let Ok(pong) = serde_json::from_slice(&answers.next().await?.payload) {
            pongs.push(pong);
        }
    }
    Some(())
}

/// As Node.js names it.
fn platform() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    }
}

async fn read_memory() -> MemoryUse {
    let status = tokio::fs::read_to_string("/proc/self/status").await.unwrap_or_default();
    let field = |name| megabytes(&status, name);
    MemoryUse {
        rss: field("VmRSS:"),
        heap_total: field("VmData:"),
        heap_used: field("RssAnon:"),
        external: field("RssFile:"),
    }
}

/// `VmRSS:     5120 kB` → `5 MB`.
fn megabytes(status: &str, field: &str) -> Option<String> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(format!("{} MB", (kilobytes + 512) / 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_whole_megabytes() {
        let status = "Name:\tkurir-api\nVmRSS:\t    5700 kB\n";
        assert_eq!(megabytes(status, "VmRSS:").as_deref(), Some("6 MB"));
        assert_eq!(megabytes(status, "VmData:"), None);
    }
}
