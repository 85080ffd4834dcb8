//! Logs to the terminal and to a file, traces to a collector if one is set.

use crate::{
    log_lines::{LogLines, Writing},
    log_redaction::LogSecrets,
};
use anyhow::Context as _;
use kurir_contract::service::ServiceName;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{
    Resource, runtime,
    trace::{SdkTracerProvider, span_processor_with_async_runtime::BatchSpanProcessor},
};
use std::{
    fs::OpenOptions,
    io::{self, IsTerminal as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// What is logged, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct LogSettings {
    /// The log's level, or a filter such as `info,kurir_gateway=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// A file that gets the log beside the terminal; empty: none.
    #[arg(long, env = "LOG_FILE", default_value = "logs/app.log")]
    pub log_file: String,
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Base URL of an OpenTelemetry collector (OTLP over HTTP); unset: no traces.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otel_exporter_otlp_endpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
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
    let filter = EnvFilter::try_new(filter).context("failed to read LOG_LEVEL")?;
    let traces = settings.otel_exporter_otlp_endpoint.as_deref().map(|url| exporter(url, service)).transpose()?;
    let spans = traces.as_ref().map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer("kurir")));
    let (layers, logs) = logs(settings, secrets)?;
    tracing_subscriber::registry()
        .with(layers)
        .with(spans)
        .with(filter)
        .with(filter_fn(|line| *line.level() < Level::TRACE || is_ours(line.target())))
        .try_init()
        .context("failed to start the log")?;
    Ok(Telemetry { traces, logs })
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
        places.push(Box::new(open(Path::new(&settings.log_file))?));
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

/// What people write to each other is not in the log, but when and from where they do is.
const OWNER_ONLY: u32 = 0o600;

/// Appends, so that several services may share one file: each write is of whole lines.
fn open(path: &Path) -> anyhow::Result<std::fs::File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {} (LOG_FILE; empty: none)", folder.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(OWNER_ONLY)
        .open(path)
        .with_context(|| format!("failed to open {} (LOG_FILE; empty: none)", path.display()))
}

fn exporter(url: &str, service: ServiceName) -> anyhow::Result<SdkTracerProvider> {
    use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
    let endpoint = format!("{}/v1/traces", url.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .build()
        .context("failed to use OTEL_EXPORTER_OTLP_ENDPOINT")?;
    Ok(SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter, runtime::Tokio).build())
        .with_resource(Resource::builder().with_service_name(format!("kurir-{service}")).build())
        .build())
}
