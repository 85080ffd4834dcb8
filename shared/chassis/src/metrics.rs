//! The metrics of a service, as OpenMetrics text 1.0 at `/metrics`, for Prometheus and similar programs.
//!
//! A module declares the metrics that it counts; this module collects them.

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        exemplar::HistogramWithExemplars,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::sync::{Arc, Mutex, PoisonError};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Buckets from one millisecond to half a minute, each twice the one before: every wait of a service ends within them.
const FIRST_BUCKET_SECONDS: f64 = 0.001;
const BUCKETS: u16 = 16;

/// A histogram of durations in seconds.
#[must_use]
pub fn seconds_histogram() -> Histogram {
    Histogram::new(exponential_buckets(FIRST_BUCKET_SECONDS, 2.0, BUCKETS))
}

/// Names the collected trace of one observation, which stands as an example beside the bucket into which it fell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TraceLabel {
    pub trace_id: String,
}

/// A histogram whose buckets name traces as examples.
pub type TracedHistogram = HistogramWithExemplars<TraceLabel>;

/// A histogram of durations in seconds whose buckets name traces as examples.
#[must_use]
pub fn traced_seconds_histogram() -> TracedHistogram {
    HistogramWithExemplars::new(exponential_buckets(FIRST_BUCKET_SECONDS, 2.0, BUCKETS))
}

/// The same for waits that may take hours: from a millisecond to half a day, each bucket two and a half times the one before.
#[must_use]
pub fn traced_waits_histogram() -> TracedHistogram {
    const FACTOR: f64 = 2.5;
    const WAITS: u16 = 20;
    HistogramWithExemplars::new(exponential_buckets(FIRST_BUCKET_SECONDS, FACTOR, WAITS))
}

/// All metrics of one process. A clone shares them.
#[derive(Clone)]
pub struct MetricsRegistry(Arc<Mutex<Registry>>);

impl Default for MetricsRegistry {
    /// A registry in which every name begins with `kurir_`.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("kurir"))))
    }
}

impl MetricsRegistry {
    /// Declares metrics.
    pub fn declare_metrics(&self, declare: impl FnOnce(&mut Registry)) {
        declare(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The present values as OpenMetrics text.
    #[must_use]
    pub fn encode_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.0.lock().unwrap_or_else(PoisonError::into_inner));
        text
    }

    /// The route `/metrics`.
    pub fn metrics_route<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new()
            .route("/metrics", get(async move || ([(CONTENT_TYPE, OPEN_METRICS)], self.encode_text()).into_response()))
    }
}
