//! The metrics of the API's requests: `/metrics`.
//!
//! Labels are routes as the router has them, never paths as callers write them, so their number is bounded.

use kurir_chassis::metrics::{MetricsRegistry, TraceLabel, TracedHistogram, traced_seconds_histogram};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

/// The counts of all requests.
#[derive(Clone)]
pub struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: TracedHistogram,
    pub under_way: Gauge,
}

/// The methods that a label may name: callers can invent any number of others.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

impl RequestMetrics {
    #[must_use]
    pub fn register(metrics: &MetricsRegistry) -> Self {
        let declared =
            Self { requests: Family::default(), duration: traced_seconds_histogram(), under_way: Gauge::default() };
        metrics.declare_metrics(|registry| {
            let help = "Requests that were answered, by method, route and status";
            registry.register("api_requests", help, declared.requests.clone());
            registry.register("api_request_seconds", "How long answers took", declared.duration.clone());
            registry.register("api_requests_under_way", "Requests without an answer yet", declared.under_way.clone());
        });
        declared
    }

    /// Counts an answered request. `trace`: if it is collected.
    pub fn record(&self, (method, route): (&str, &str), status: u16, took: Duration, trace: Option<TraceLabel>) {
        let method = METHODS.iter().find(|known| **known == method).unwrap_or(&"other");
        let labels = RequestLabels { method: (*method).to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.duration.observe(took.as_secs_f64(), trace, None);
    }
}
