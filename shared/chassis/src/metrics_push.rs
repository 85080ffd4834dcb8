//! Pushes a service's metrics to an OpenTelemetry collector (OTLP over HTTP, as JSON), where nobody can scrape it.

use crate::{metrics::MetricsRegistry, otlp_metrics::to_otlp, shutdown::CancellationToken, telemetry::LogSettings};
use anyhow::Context as _;
use kurir_contract::service::ServiceName;
use std::time::{Duration, SystemTime};
use tokio::time::{MissedTickBehavior, interval};

/// How long the collector may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// The same at the shutdown.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// What every metric comes with.
#[derive(Clone, Debug)]
pub struct MetricsSource {
    pub service: ServiceName,
    /// Names this process and no other.
    pub instance: String,
    pub started: SystemTime,
}

impl MetricsSource {
    #[must_use]
    pub fn new(service: ServiceName, instance: &str) -> Self {
        Self { service, instance: instance.to_owned(), started: SystemTime::now() }
    }
}

/// Pushes until the shutdown, and once more then. Does nothing unless the settings ask for it.
///
/// # Errors
/// If there can be no HTTP client. A collector that is away is none: the counts go on.
pub async fn run(
    settings: LogSettings,
    source: MetricsSource,
    metrics: MetricsRegistry,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(url) = settings.metrics_url() else {
        shutdown.cancelled().await;
        return Ok(());
    };
    let http = reqwest::Client::builder().timeout(ANSWERS_WITHIN).build().context("failed to make an HTTP client")?;
    let push = async |within: Duration| {
        let body = to_otlp(&metrics.encode_text(), &source, SystemTime::now());
        let request = http.post(&url).header("content-type", "application/json").timeout(within).body(body.to_string());
        request.send().await?.error_for_status().map(drop)
    };
    let mut ticks = interval(settings.metrics_interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_away = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => break,
        }
        match push(ANSWERS_WITHIN).await {
            Ok(()) if std::mem::take(&mut is_away) => tracing::info!("the collector takes metrics again"),
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    tracing::warn!("the collector takes no metrics; they are pushed again: {error}");
                }
            }
        }
    }
    // A collector that is away now gets no last figures.
    let _ = push(LAST_WITHIN).await;
    Ok(())
}
