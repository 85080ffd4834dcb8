//! Logs to the terminal and to a file, traces to a collector if one is set.

use crate::{
    byte_size::ByteSize,
    log_file::{LogFile, LogRotation},
    log_lines::{LogLines, Writing},
    log_redaction::LogSecrets,
    log_repeats::RepeatLimit,
    settings::SettingProblem,
    trace_context::TRACE_TARGET,
};
use anyhow::Context as _;
use kurir_contract::service::ServiceName;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{
    Resource, runtime,
    trace::{Sampler, SdkTracerProvider, span_processor_with_async_runtime::BatchSpanProcessor},
};
use std::{
    io::{self, IsTerminal as _, Write},
    path::Path,
    time::Duration,
};
use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::filter_fn,
    fmt,
    layer::{Identity, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

/// In milliseconds.
const LEAST_EXPORT_INTERVAL: u64 = 1_000;

/// What is logged, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct LogSettings {
    /// The log's level, or a filter such as `info,kurir_gateway=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// A file that gets the log beside the terminal; empty: none.
    #[arg(long, env = "LOG_FILE", default_value = "logs/app.log")]
    pub log_file: String,
    /// The log file is moved to `<file>.1` when it has this size; 0: never.
    #[arg(long, env = "LOG_MAX_SIZE", default_value = "50MB")]
    pub log_max_size: ByteSize,
    /// The same when it is so old; 0s: never.
    #[arg(long, env = "LOG_MAX_AGE", default_value = "7d", value_parser = humantime::parse_duration)]
    pub log_max_age: Duration,
    /// How many files that were moved so are kept.
    #[arg(long, env = "LOG_KEEP", default_value_t = 5)]
    pub log_keep: u8,
    /// Lines for people, or one JSON object for each line.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Base URL of an OpenTelemetry collector (OTLP over HTTP); unset: no traces.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// The share of traces that are collected, from 0 to 1. A trace that began elsewhere keeps its own decision.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 1.0)]
    pub otel_traces_sampler_arg: f64,
    /// Whether the metrics are pushed to that collector, too: `otlp`, or `none`.
    #[arg(long, env = "OTEL_METRICS_EXPORTER", value_enum, default_value_t = MetricsExporter::None)]
    pub otel_metrics_exporter: MetricsExporter,
    /// How often they are pushed, in milliseconds.
    #[arg(long, env = "OTEL_METRIC_EXPORT_INTERVAL", default_value_t = 60_000)]
    pub otel_metric_export_interval: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MetricsExporter {
    None,
    Otlp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogSettings {
    fn rotation(&self) -> LogRotation {
        let max_size = if self.log_max_size.bytes == 0 { u64::MAX } else { self.log_max_size.bytes };
        LogRotation { max_size, max_age: self.log_max_age, kept: self.log_keep.into() }
    }

    /// Where metrics are pushed to; none if they are only served.
    pub(crate) fn metrics_url(&self) -> Option<String> {
        let endpoint = self.otel_exporter_otlp_endpoint.as_deref()?;
        let is_asked = self.otel_metrics_exporter == MetricsExporter::Otlp;
        is_asked.then(|| format!("{}/v1/metrics", endpoint.trim_end_matches('/')))
    }

    pub(crate) fn metrics_interval(&self) -> Duration {
        Duration::from_millis(self.otel_metric_export_interval.max(LEAST_EXPORT_INTERVAL))
    }

    /// A level that is none, with which nothing would be logged, and a share that is none.
    #[must_use]
    pub fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if !is_log_level(&self.log_level) {
            let fix =
                "it is no level: use error, warn, info, debug, trace or off, or a filter as info,kurir_gateway=debug";
            problems.push(SettingProblem::new("LOG_LEVEL", fix));
        }
        if !(0.0..=1.0).contains(&self.otel_traces_sampler_arg) {
            let fix = "it is no share: use a number from 0 (no traces) to 1 (all), as 0.01";
            problems.push(SettingProblem::new("OTEL_TRACES_SAMPLER_ARG", fix));
        }
        if self.otel_metrics_exporter == MetricsExporter::Otlp && self.otel_exporter_otlp_endpoint.is_none() {
            let fix = "it needs a collector: set OTEL_EXPORTER_OTLP_ENDPOINT, too";
            problems.push(SettingProblem::new("OTEL_METRICS_EXPORTER", fix));
        }
        if self.otel_metric_export_interval < LEAST_EXPORT_INTERVAL {
            let fix = "it is too short: use 1000 (milliseconds) or more";
            problems.push(SettingProblem::new("OTEL_METRIC_EXPORT_INTERVAL", fix));
        }
        problems
    }
}

/// Ended at the end of `main`, so that the last spans and the last lines go out.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    logs: Vec<Writing>,
}

impl Telemetry {
    pub fn end(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown()
        {
            eprintln!("failed to send the last traces: {error}");
        }
        self.logs.into_iter().for_each(Writing::end);
    }
}

/// Starts the log at `filter`, which is `LOG_LEVEL` and what the service adds to it.
///
/// # Errors
/// If the filter, the file or the collector's URL cannot be used.
pub fn start(
    settings: &LogSettings,
    filter: &str,
    secrets: &LogSecrets,
    service: ServiceName,
) -> anyhow::Result<Telemetry> {
    // Every TLS connection of this process uses one implementation; the second call of a test is no failure.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let filter = format!("{},{TRACE_TARGET}=off", read_log_level(filter));
    let filter = || EnvFilter::try_new(&filter).context("failed to read LOG_LEVEL");
    let traces =
        settings.otel_exporter_otlp_endpoint.as_deref().map(|url| exporter(url, settings, service)).transpose()?;
    let (mut layers, logs) = logs(settings, secrets)?;
    // Without a collector one filter is asked for all. With one, the log's level must not decide which spans there are, and
    // log lines, which hold more than a trace may, do not become events of spans.
    let mut all = None;
    let spans = match &traces {
        Some(traces) => {
            for layer in &mut layers {
                *layer = std::mem::replace(layer, Box::new(Identity::new())).with_filter(filter()?).boxed();
            }
            let is_span = |metadata: &Metadata<'_>| {
                metadata.is_span() && *metadata.level() <= Level::INFO && is_ours(metadata.target())
            };
            let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("kurir")).with_location(false);
            Some(layer.with_threads(false).with_filter(filter_fn(is_span)))
        }
        None => {
            all = Some(filter()?);
            None
        }
    };
    tracing_subscriber::registry()
        .with(layers)
        .with(spans)
        .with(all)
        .with(RepeatLimit::default())
        .with(filter_fn(|line| *line.level() < Level::TRACE || is_ours(line.target())))
        .try_init()
        .context("failed to start the log")?;
    Ok(Telemetry { traces, logs })
}

/// The filter with the levels of other programs' loggers (pino, winston, syslog) in the words of this one. Unknown levels
/// stay, and would be taken for the name of a module of which nothing is logged: [`is_log_level`] finds them.
fn read_log_level(filter: &str) -> String {
    let level = |name: &str| {
        match name.to_ascii_lowercase().as_str() {
            "warning" => "warn",
            "fatal" | "critical" | "crit" | "emerg" | "alert" => "error",
            "notice" | "http" | "log" => "info",
            "verbose" => "debug",
            "silly" | "all" => "trace",
            "silent" | "none" => "off",
            _ => return name.to_owned(),
        }
        .to_owned()
    };
    let parts = filter.split(',').map(|part| match part.rsplit_once('=') {
        Some((target, name)) => format!("{target}={}", level(name.trim())),
        None => level(part.trim()),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// Whether each part of a filter that names no module is a level.
fn is_log_level(filter: &str) -> bool {
    let filter = read_log_level(filter);
    let mut levels = filter.split(',').filter(|part| !part.contains(['=', '[', ':', '_']) && !part.is_empty());
    levels.all(|level| level.parse::<LevelFilter>().is_ok()) && EnvFilter::try_new(&filter).is_ok()
}

/// Libraries write whole messages at `trace`, and nothing in them says which part is a person's text.
fn is_ours(target: &str) -> bool {
    ["kurir", "whatsapp_simulator"].iter().any(|ours| target.starts_with(ours))
}

type LogLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Lines are formatted once for all places, but for a terminal with colours.
fn logs(settings: &LogSettings, secrets: &LogSecrets) -> anyhow::Result<(Vec<LogLayer>, Vec<Writing>)> {
    let mut places: Vec<Box<dyn Write + Send>> = vec![Box::new(io::stderr())];
    let mut coloured: Vec<Box<dyn Write + Send>> = Vec::new();
    if io::stderr().is_terminal() {
        std::mem::swap(&mut places, &mut coloured);
    }
    if !settings.log_file.is_empty() {
        let path = Path::new(&settings.log_file);
        let file = LogFile::open(path, settings.rotation());
        let file = file.with_context(|| format!("failed to open {} (LOG_FILE; empty: none)", path.display()))?;
        places.push(Box::new(file));
    }
    let (mut layers, mut writing) = (Vec::new(), Vec::new());
    for (places, colours) in [(places, false), (coloured, true)] {
        if !places.is_empty() {
            let (lines, thread) = LogLines::to(places, secrets.clone(), colours).context("failed to start the log")?;
            layers.push(layer(settings.log_format, lines, colours));
            writing.push(thread);
        }
    }
    Ok((layers, writing))
}

fn layer(format: LogFormat, lines: LogLines, colours: bool) -> LogLayer {
    match format {
        LogFormat::Text => fmt::layer().with_writer(lines).with_ansi(colours).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(lines).boxed(),
    }
}

fn exporter(url: &str, settings: &LogSettings, service: ServiceName) -> anyhow::Result<SdkTracerProvider> {
    use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
    let endpoint = format!("{}/v1/traces", url.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()
        .context("failed to use OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let share = Sampler::TraceIdRatioBased(settings.otel_traces_sampler_arg);
    Ok(SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_span_processor(BatchSpanProcessor::builder(exporter, runtime::Tokio).build())
        .with_resource(Resource::builder().with_service_name(format!("kurir-{service}")).build())
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_of_other_loggers_are_understood_and_unknown_ones_found() {
        for (given, read) in [
            ("info", "info"),
            ("warning", "warn"),
            ("WARNING", "warn"),
            ("fatal", "error"),
            ("silent", "off"),
            ("verbose", "debug"),
            ("warning,kurir_gateway=verbose", "warn,kurir_gateway=debug"),
        ] {
            assert_eq!(read_log_level(given), read);
            assert!(is_log_level(given), "{given}");
        }
        for known in ["warn,kurir_gateway=debug", "INFO", "off", "kurir_gateway=debug"] {
            assert!(is_log_level(known), "{known}");
        }
        for unknown in ["wran", "loud", "info,loud", "kurir_gateway=loud"] {
            assert!(!is_log_level(unknown), "{unknown}");
        }
    }
}
