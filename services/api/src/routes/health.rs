//! `/api/health`: that the API runs, and in detail which services of Kurir it can see.

use crate::{app_state::AppState, auth, response::JsonResult};
use axum::{
    Json,
    extract::{Request, State},
};
use futures::StreamExt as _;
use kurir_contract::{
    clock,
    service::{PingReply, ServiceName},
    subject,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Services answer a ping in a millisecond; who needs longer is shown as missing.
const PONGS_WITHIN: Duration = Duration::from_millis(300);
/// How long what they answered is shown to callers without the key.
const PONGS_LAST: Duration = Duration::from_secs(2);
/// Answers that are shown; nobody runs so many instances.
const MAX_PONGS: usize = 256;

pub async fn brief(State(app): State<AppState>) -> JsonResult {
    Ok(Json(common(&app, "WhatsApp API is running")))
}

/// Without the key, each service is there or not, and nothing is said of its instances.
pub async fn detailed(State(app): State<AppState>, request: Request) -> JsonResult {
    let mut answer = common(&app, "WhatsApp API detailed health check");
    answer["environment"] = json!(app.environment);
    answer["memory"] = memory().await;
    answer["platform"] = json!(platform());
    answer["broker"] = json!({"connected": app.broker.is_connected()});
    answer["services"] = if auth::has_key(&app, &request) {
        json!(services(&app).await)
    } else {
        json!(app.last_pings.summary(&app).await)
    };
    Ok(Json(answer))
}

fn common(app: &AppState, message: &str) -> Value {
    json!({
        "success": true,
        "message": message,
        "timestamp": clock::now_iso(),
        "uptime": app.started.elapsed().as_secs_f64(),
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// What the services last answered. Whoever asks without the key makes no traffic of their own.
#[derive(Default)]
pub struct LastPings(Mutex<Option<(Instant, Vec<PingReply>)>>);

#[derive(Serialize)]
pub struct ServiceSummary {
    service: ServiceName,
    ready: bool,
}

impl LastPings {
    /// One entry for each service of which an instance answered at most two seconds ago.
    async fn summary(&self, app: &AppState) -> Vec<ServiceSummary> {
        let mut last = self.0.lock().await;
        let pongs = match last.take().filter(|(at, _)| at.elapsed() < PONGS_LAST) {
            Some(fresh) => fresh,
            None => (Instant::now(), services(app).await),
        };
        let mut summary: Vec<ServiceSummary> = Vec::new();
        for pong in &pongs.1 {
            match summary.iter_mut().find(|known| known.service == pong.service) {
                Some(known) => known.ready |= pong.ready,
                None => summary.push(ServiceSummary { service: pong.service, ready: pong.ready }),
            }
        }
        *last = Some(pongs);
        summary
    }
}

/// Every instance that answers, this one first.
async fn services(app: &AppState) -> Vec<PingReply> {
    let mut pongs = vec![app.health.pong()];
    if app.broker.is_connected() {
        // Ends by its deadline as a rule, since nobody knows how many will answer; those that came in time are kept.
        let _ = tokio::time::timeout(PONGS_WITHIN, collect(app, &mut pongs)).await;
    }
    pongs
}

async fn collect(app: &AppState, pongs: &mut Vec<PingReply>) -> Option<()> {
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

/// The names that Node.js has, with what comes nearest to them here; empty where the system does not say.
async fn memory() -> Value {
    let status = tokio::fs::read_to_string("/proc/self/status").await.unwrap_or_default();
    let fields = [("rss", "VmRSS:"), ("heapTotal", "VmData:"), ("heapUsed", "RssAnon:"), ("external", "RssFile:")];
    fields.iter().filter_map(|(name, field)| Some(((*name).to_owned(), json!(megabytes(&status, field)?)))).collect()
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
